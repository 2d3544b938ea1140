//! `windlass artifact`.

use super::{print_json, secret::header};
use crate::{
    app::{App, find_run},
    args::ArtifactCommand,
    exit::{Exit, UsageError, coded},
    style,
};
use anyhow::Context as _;
use windlass_contract::ArtifactKey;

pub(crate) async fn artifact(app: &App, command: ArtifactCommand) -> anyhow::Result<Exit> {
    let host = app.host().await?;
    let store = host.toolbox().artifacts();
    match command {
        ArtifactCommand::List { run, json } => {
            let run = find_run(&host, &run).await?;
            let all = store.list(&run).map_err(coded)?;
            if json {
                return print_json(&all);
            }
            if all.is_empty() {
                eprintln!("run {run} has kept nothing");
                return Ok(Exit::Success);
            }
            let mut rows = vec![header(&["KEY", "SIZE", "TYPE", "DIGEST"])];
            for kept in all {
                let row = [kept.key.to_string(), style::size(kept.size), kept.media_type, kept.digest.to_string()];
                rows.push(row.into());
            }
            anstream::print!("{}", style::table(&rows));
            Ok(Exit::Success)
        }
        ArtifactCommand::Get { run, key, output } => {
            let run = find_run(&host, &run).await?;
            let key: ArtifactKey =
                key.parse().map_err(|error: windlass_contract::NameError| UsageError(error.to_string()))?;
            let kept = store.find(&run, &key).map_err(coded)?;
            let mut reader = store.read(kept.digest, kept.size).map_err(coded)?;
            match output {
                None => {
                    std::io::copy(&mut reader, &mut std::io::stdout().lock()).context("cannot write the artifact")?;
                }
                Some(path) => {
                    let cannot = || format!("cannot write {}", path.display());
                    let mut file = std::fs::File::create(&path).with_context(cannot)?;
                    std::io::copy(&mut reader, &mut file).with_context(cannot)?;
                    let (size, digest) = (style::size(kept.size), kept.digest);
                    anstream::eprintln!("{} {} ({size}, {digest})", style::paint(style::GOOD, "✔"), path.display());
                }
            }
            Ok(Exit::Success)
        }
    }
}
