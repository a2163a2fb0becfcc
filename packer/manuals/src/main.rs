//! Writes manual pages and completions for each of the programs, as the packages carry them.
//!
//! A program of its own, so that none of them links what draws them.

use std::{env, fs, path::PathBuf};

use anyhow::Context;
use clap::Command;
use clap_complete::{Shell, generate_to};

/// What shells look for differs in its name: `lightsout-agent.bash`, `_lightsout-agent`, `lightsout-agent.fish`.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(env::args_os().nth(1).context("usage: lightsout-manuals FOLDER")?);
    for command in [lightsout::command(), lightsout_agent::command(), lightsout_scaler::command()] {
        write(command, &folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    }
    Ok(())
}

fn write(mut command: Command, folder: &std::path::Path) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let (pages, completions) = (folder.join("man").join(&name), folder.join("completions"));
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&completions)?;
    // One page for each of its commands beside its own, as git has them: lightsout-agent-run(1).
    clap_mangen::generate_to(command.clone(), &pages)?;
    for shell in SHELLS {
        generate_to(shell, &mut command, &name, &completions)?;
    }
    Ok(())
}
