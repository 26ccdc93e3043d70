//! Where in the user's own code a node comes from: torch.export keeps Python's stack trace of each, and the modules that
//! it stands in. Knows text only.

use std::collections::BTreeMap;

/// "net.py:31: x = self.pool(x) (in layer1.0)"; empty where nothing is kept.
pub fn origin(metadata: &BTreeMap<String, String>) -> String {
    let frame = metadata.get("stack_trace").and_then(|trace| innermost(trace));
    let module = metadata.get("nn_module_stack").and_then(|stack| module(stack));
    match (frame, module) {
        (Some(frame), Some(module)) => format!("{frame} (in {module})"),
        (Some(frame), None) => frame,
        (None, Some(module)) => format!("in {module}"),
        (None, None) => String::new(),
    }
}

/// The innermost frame that is not in PyTorch itself, else the innermost.
fn innermost(trace: &str) -> Option<String> {
    let mut frames: Vec<(&str, String)> = Vec::new();
    let mut lines = trace.lines().peekable();
    while let Some(line) = lines.next() {
        // File "/home/me/net.py", line 31, in forward
        let Some(rest) = line.trim().strip_prefix("File \"") else { continue };
        let Some((path, rest)) = rest.split_once("\", line ") else { continue };
        let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let code = lines.next_if(|line| !line.trim().starts_with("File \"")).map_or("", str::trim);
        let colon = if code.is_empty() { "" } else { ": " };
        frames.push((path, format!("{path}:{number}{colon}{code}")));
    }
    let is_torchs = |path: &str| path.contains("/torch/") || path.starts_with("torch/") || path.contains("\\torch\\");
    let own = frames.iter().rev().find(|(path, _)| !is_torchs(path)).or(frames.last());
    own.map(|(_, text)| text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect())
}

/// The innermost module by its name: of "L__self__,,net.Net;L__self___layer1,layer1,Sequential" layer1.
fn module(stack: &str) -> Option<String> {
    let path = stack.rsplit(';').next()?.split(',').nth(1)?;
    let plain: String = path.chars().filter(|c| !c.is_control()).take(100).collect();
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_line_is_found() {
        let of = |trace: &str, stack: &str| {
            let pairs = [("stack_trace", trace), ("nn_module_stack", stack)];
            let pairs = pairs.into_iter().filter(|(_, text)| !text.is_empty());
            origin(&pairs.map(|(key, text)| (key.to_owned(), text.to_owned())).collect())
        };
        let trace = "File \"/home/me/net.py\", line 10, in forward\n    x = self.body(x)\n  File \
                     \"/usr/lib/site-packages/torch/nn/modules/conv.py\", line 5, in forward\n    return F.conv2d(x)";
        assert_eq!(
            of(trace, "L__self__,,net.Net;L__self___body,body.0,torch.nn.Conv2d"),
            "/home/me/net.py:10: x = self.body(x) (in body.0)"
        );
        assert_eq!(of(trace, ""), "/home/me/net.py:10: x = self.body(x)");
        assert_eq!(of("File \"/a/torch/x.py\", line 3, in f", "a,,b"), "/a/torch/x.py:3");
        assert_eq!(of("", "L__self__,,net.Net;x,head,torch.nn.Linear"), "in head");
        assert_eq!(of("", ""), "");
        assert_eq!(of("nonsense \u{1b}", ";"), "");
    }
}
