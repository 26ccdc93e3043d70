//! `hw1 analyse --check`: what a program is, and whether all of it can be run, without any data.

use crate::error::usage;
use crate::model::program::Program;
use crate::tasks::subject::program;
use crate::terminal::print;
use anyhow::Result;
use clap::ArgMatches;
use serde_json::json;
use std::path::Path;

/// Whether a check is asked for; it is all that is done then.
pub fn checked(matches: &ArgMatches) -> Result<bool> {
    if !matches.get_flag(CHECK) {
        return Ok(false);
    }
    let path = ["MODEL", "model"].iter().find_map(|name| matches.get_one::<String>(name));
    let path = path.ok_or_else(|| usage("--check takes the path of a .pt2 file"))?;
    let (program, sha256) = program(Path::new(path))?;
    let text =
        if matches.get_flag("json") { format!("{}\n", as_json(&program, &sha256)) } else { in_words(path, &program) };
    print(&text)?;
    Ok(true)
}

pub const CHECK: &str = "check";

fn as_json(program: &Program, sha256: &str) -> serde_json::Value {
    json!({
        "parameters": program.layout().parameters(),
        "buffers": program.layout().buffer_numbers(),
        "input": program.input.to_string(),
        "tokens": program.input.is_of_tokens(),
        "outputs": program.outputs(),
        "operators": program.operators(),
        "torch": program.torch_version,
        "sha256": sha256,
    })
}

fn in_words(path: &str, program: &Program) -> String {
    let (layout, operators) = (program.layout(), program.operators());
    let nodes: usize = operators.values().sum();
    let of = if program.input.is_of_tokens() { "tokens" } else { "numbers" };
    let mut text = format!(
        "{path}: {} parameters in {} slices and {} numbers of buffers, from PyTorch {}\n\
         takes {of} {}, gives {}; {nodes} nodes of {} operators, all of which hw1 runs\n",
        layout.parameters(),
        layout.slots.len(),
        layout.buffer_numbers(),
        program.torch_version,
        program.input,
        if program.outputs() == 1 { "one output".to_owned() } else { format!("{} outputs", program.outputs()) },
        operators.len(),
    );
    if let Some(batch) = program.input.fixed_batch() {
        text.push_str(&format!(
            "runs in batches of {batch} alone: export it with a dynamic batch, as python/hw1_export.py does, and it runs faster\n"
        ));
    }
    for (other, first) in &program.tied {
        text.push_str(&format!("{other} is tied to {first}\n"));
    }
    text
}
