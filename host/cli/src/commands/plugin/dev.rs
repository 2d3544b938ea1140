//! `windlass plugin dev`: build, test, give to the project, and again after each change.

use super::{build, install::ask, test};
use crate::{
    app::{App, interactive},
    args::DevArgs,
    exit::{Exit, UsageError, coded, fail},
    style,
};
use anyhow::Context as _;
use std::{path::Path, time::Instant};
use windlass_author::{
    AuthorError, case,
    stage::{Mode, Subject},
    watch::Sources,
};
use windlass_contract::{CodedError as _, PluginName};
use windlass_package::{
    ConsentRequest, dev::Session, grants::Grants, install::Verification, manifest::Manifest, store::Entry,
};
use windlass_runtime::Runtime;

pub(super) async fn dev(app: &App, args: DevArgs) -> anyhow::Result<Exit> {
    let (manifest, _) = Manifest::load(&args.folder).map_err(coded)?;
    let mut sources = Sources::watch(&args.folder).map_err(coded)?;
    let loop_ = Loop {
        app,
        args: &args,
        runtime: app.runtime()?,
        session: Session::begin(&app.home, &app.project, &manifest.name).map_err(coded)?,
        name: manifest.name.clone(),
    };
    let mut component = manifest.component;
    let rounds = async {
        loop {
            if let Err(error) = loop_.round(&mut component).await {
                // Printed, and waited for the change that mends it.
                fail(&error);
            }
            let watching = format!("watching {}; Ctrl-C ends it", args.folder.display());
            anstream::println!("{}", style::paint(style::FAINT, watching));
            match sources.changed(&component).await {
                Ok(path) => anstream::println!("\n{} changed", path.display()),
                Err(error) => return coded(error),
            }
        }
    };
    tokio::select! {
        error = rounds => return Err(error),
        _ = tokio::signal::ctrl_c() => {
            anstream::println!("\n{} in this project is again what windlass.lock says", loop_.name);
        }
    }
    Ok(Exit::Success)
}

struct Loop<'a> {
    app: &'a App,
    args: &'a DevArgs,
    runtime: Runtime,
    session: Session,
    name: PluginName,
}

impl Loop<'_> {
    /// One round, to the first thing that fails.
    async fn round(&self, component: &mut std::path::PathBuf) -> anyhow::Result<()> {
        let folder = &self.args.folder;
        let (manifest, _) = Manifest::load(folder).map_err(coded)?;
        if manifest.name != self.name {
            let words = format!("the plugin is called {} now; end this and start it again", manifest.name);
            return Err(UsageError(words).into());
        }
        component.clone_from(&manifest.component);
        let began = Instant::now();
        windlass_author::build::run(folder, &manifest).await.map_err(coded)?;
        let took = began.elapsed();
        let subject = Subject::open(&self.runtime, folder, manifest).await.map_err(coded)?;
        build::print(&subject, took);
        build::advise(&subject.built);
        if !self.tests_pass(&subject).await? || !build::sound(&subject.built) {
            return Ok(());
        }
        self.consent(&subject)?;
        self.give(&subject)?;
        match &self.args.pipeline {
            Some(file) => self.run(file).await,
            None => Ok(()),
        }
    }

    async fn tests_pass(&self, subject: &Subject) -> anyhow::Result<bool> {
        match case::find(&self.args.folder, None) {
            Ok(cases) => {
                let verdicts = test::play_all(&self.runtime, subject, &cases, &Mode::Replay, true).await?;
                Ok(verdicts.iter().all(test::Verdict::passed))
            }
            Err(error @ AuthorError::NoCases { .. }) => {
                anstream::println!("{error}; {}", error.help().unwrap_or_default());
                Ok(true)
            }
            Err(error) => Err(coded(error)),
        }
    }

    /// Sees to it that the project grants what the manifest asks for: asked once, and again when that is more.
    fn consent(&self, subject: &Subject) -> anyhow::Result<()> {
        let asked = &subject.manifest.permissions;
        let mut grants = Grants::load(&self.app.project).map_err(coded)?;
        let before = grants.plugins.get(&self.name);
        if asked.within(&before.cloned().unwrap_or_default()) {
            return Ok(());
        }
        let request = ConsentRequest {
            plugin: subject.plugin().clone(),
            summary: subject.manifest.summary.clone(),
            verification: Verification::Unsigned,
            asked: asked.clone(),
            before: before.cloned(),
        };
        if self.args.grant || (interactive() && ask(&request)) {
            grants.plugins.insert(self.name.clone(), asked.clone());
            return grants.save(&self.app.project).map_err(coded);
        }
        let words = request.words();
        let words = format!("not granted in this project; --grant grants it without asking\n{}", words.trim_end());
        Err(UsageError(words).into())
    }

    fn give(&self, subject: &Subject) -> anyhow::Result<()> {
        let built = &subject.built;
        let wasm = std::fs::read(&built.path).with_context(|| format!("cannot read {}", built.path.display()))?;
        let entry = Entry {
            digest: built.digest,
            size: built.facts.size,
            kinds: built.facts.kinds.clone(),
            imports: built.facts.imports.clone(),
            contract: built.facts.contract.clone(),
            descriptor: subject.descriptor.clone(),
        };
        let given = self.session.give(&self.app.home, &subject.manifest, &self.args.folder, &wasm, &entry);
        let given = given.map_err(coded)?;
        let project = self.app.project.canonicalize().unwrap_or_else(|_| self.app.project.clone());
        anstream::println!("{} runs in {}", style::paint(style::STRONG, &given.plugin), project.display());
        Ok(())
    }

    /// Runs the pipeline as a person would.
    async fn run(&self, file: &Path) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = tokio::process::Command::new(program);
        command.arg("run").arg(file).arg("--home").arg(self.app.home.root()).arg("--project").arg(&self.app.project);
        let status = command.stdin(std::process::Stdio::null()).kill_on_drop(true).status().await;
        status.context("cannot start the run").map(|_| ())
    }
}
