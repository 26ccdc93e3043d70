//! How page/script.rs joins and squeezes the page's script: what a text means stays.

#[path = "../../page/script.rs"]
mod script;

use script::{script, squeezed};
use std::fs;

#[test]
fn spaces_and_comments_go_and_all_else_stays() {
    for (text, expected) in [
        ("", ""),
        ("let a = 1;\nlet b = a + 1;", "let a=1;let b=a+1;"),
        ("return a;", "return a;"),
        ("const $a = _b in c;", "const $a=_b in c;"),
        // Comments, and what looks like them.
        ("a; // no\nb;", "a;b;"),
        ("a /* b */ c", "a c"),
        ("a /**/ + b", "a+b"),
        ("a = /* b\n c */ d;", "a=d;"),
        ("// all\n", ""),
        ("a = \"// no comment /* nor this */\";", "a=\"// no comment /* nor this */\";"),
        ("a = 'http://b';", "a='http://b';"),
        ("a = `// ${b} /* c */`;", "a=`// ${b} /* c */`;"),
        // Strings.
        ("a = \"b  c\" + 'd  e';", "a=\"b  c\"+'d  e';"),
        (r#"a = "b\"  c" + '\'  ';"#, r#"a="b\"  c"+'\'  ';"#),
        (r#"a = "\\" + b;"#, r#"a="\\"+b;"#),
        // Templates, with braces and templates within.
        ("a = `b  c`;", "a=`b  c`;"),
        ("a = `b ${ c + d } e  f`;", "a=`b ${c+d} e  f`;"),
        ("a = `${ { b : 1 } . b }  c`;", "a=`${{b:1}.b}  c`;"),
        ("a = `x ${ b ? `y  ${ c  }  z` : `` }  w`;", "a=`x ${b?`y  ${c}  z`:``}  w`;"),
        ("a = `${ f(() => { return { b }; }) }  `  +  c;", "a=`${f(()=>{return{b};})}  `+c;"),
        ("a = `\\`  ${ b }\\${  c }`;", "a=`\\`  ${b}\\${  c }`;"),
        ("if (a) { b = `${ c }`; }  d", "if(a){b=`${c}`;}d"),
        // Regular expressions, with slashes and quotes in sets.
        ("a = /b  c/;", "a=/b  c/;"),
        ("a.replace(/[/\"]  /g, \"\")", "a.replace(/[/\"]  /g,\"\")"),
        (r"a = /\/  [^\]/]/u . test(b);", r"a=/\/  [^\]/]/u.test(b);"),
        ("return /  a/ . b;", "return/  a/.b;"),
        ("a && /'/ . test( b )", "a&&/'/.test(b)"),
        // Division.
        ("a = b / c / d;", "a=b/c/d;"),
        ("a = (b + c) / 2;  d = e / 2;", "a=(b+c)/2;d=e/2;"),
        ("a = b[ 0 ] / c;  d = \"e  f\" / 1;", "a=b[0]/c;d=\"e  f\"/1;"),
        // Signs that would become others.
        ("a + +b", "a+ +b"),
        ("a - -b", "a- -b"),
        ("a + ++b", "a+ ++b"),
        ("a - +b", "a-+b"),
        ("a++ + b", "a++ +b"),
        // A line's end behind a brace may end a statement.
        ("class A {\n  b() {}\n}\nlet c;", "class A{b(){}}\nlet c;"),
        ("const a = { b }\nc();", "const a={b}\nc();"),
        ("if (a) { b } else { c }", "if(a){b}else{c}"),
        ("} // b\nc", "}\nc"),
        ("f(() => {\n})\n", "f(()=>{})"),
    ] {
        assert_eq!(squeezed(text), expected, "{text}");
        assert_eq!(squeezed(expected), expected, "{text}");
    }
}

#[test]
fn modules_stand_once_each_behind_what_they_import() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("main.js", "// Main.\nimport { a } from \"./a.js\";\nimport { b } from \"./b.js\";\n\na(b);\n");
    write("a.js", "import { c } from \"./c.js\";\nexport function a(x) {\n  return c + x;\n}\n");
    write("b.js", "import { c } from \"./c.js\";\nexport const b = c;\nexport {};\n");
    write("c.js", "export const c = 1;\n");
    let joined = "(() => {\n\"use strict\";\nconst c=1;function a(x){return c+x;}\nconst b=c;a(b);\n})();\n";
    assert_eq!(script(folder.path()).unwrap(), joined);

    // What it does not understand is said, with the file.
    write("c.js", "import { d } from \"d\";\n");
    assert_eq!(script(folder.path()).unwrap_err(), "c.js: not understood: import { d } from \"d\";");
    write("c.js", "import { d } from \"./d.js\";\n");
    assert!(script(folder.path()).unwrap_err().starts_with("d.js: "));
    // What would end the script within the page.
    for text in ["export const c = \"</script>\";\n", "export const c = \"<!--\";\n"] {
        write("c.js", text);
        assert_eq!(script(folder.path()).unwrap_err(), "what would end a script stands in it");
    }
}
