//! The commands beside `serve`: each works on the stores itself, so it needs no projector that serves, and does no harm beside one.

mod show;

pub(crate) use show::rebuild_json;

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use tally_api::projections::v1::Rebuild;
use tally_read_model::{Options, ReadModel};
use tally_runtime::{CommonArgs, Readiness};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::Fold;
use crate::admin::{Admin, PROGRESS_EVERY, ParkedPlace};
use crate::app::engine;
use crate::conduct;
use crate::config::{Action, ParkedArgs, ProjectingArgs, ProjectionArgs, RebuildArgs, ShowArgs, VerifyArgs};
use crate::engine::Engine;
use crate::plan;
use crate::progress::Progress;
use crate::status::Status;
use crate::stores::Views as _;
use show::{line, show};

/// How many parked events `parked` shows.
const PARKED_SHOWN_MAX: usize = 1_000;
const NO_SUCH: &str = "there is no such projection";

/// Runs a command that is not `serve`.
///
/// # Errors
/// When a store is away, or the command is refused, or `verify` finds something.
pub(crate) async fn run(common: &CommonArgs, action: &Action) -> anyhow::Result<()> {
    match action {
        Action::Serve(_) => bail!("serve is no command of this kind"),
        Action::Status(args) => status(common, args).await,
        Action::Rebuild(args) => rebuild(common, args).await,
        Action::Promote(args) => {
            let (admin, fold) = one(common, args).await?;
            let generation = admin.conductor(&fold).promote().await?;
            say(&args.show, &fold, "promoted", &format!("generation {generation} of {} is read now", fold.name()))
        }
        Action::Rollback(args) => {
            let (admin, fold) = one(common, args).await?;
            let generation = admin.conductor(&fold).roll_back().await?;
            say(&args.show, &fold, "rolled_back", &format!("generation {generation} of {} is read again", fold.name()))
        }
        Action::Pause(args) => {
            let (admin, fold) = one(common, args).await?;
            admin.conductor(&fold).pause(true).await?;
            say(&args.show, &fold, "paused", &format!("{} is paused", fold.name()))
        }
        Action::Resume(args) => {
            let (admin, fold) = one(common, args).await?;
            admin.conductor(&fold).pause(false).await?;
            say(&args.show, &fold, "resumed", &format!("{} goes on", fold.name()))
        }
        Action::Parked(args) => parked(common, args).await,
        Action::ExplainLag(args) => {
            let (_, admin) = look(common, &args.show.projecting).await?;
            let fold = admin.projection(&args.projection).context(NO_SUCH)?;
            let (explanation, facts) = admin.explain_lag(&fold).await;
            show::explanation(args.show.json, &explanation, facts.as_ref())
        }
        Action::Verify(args) => verify(common, args).await,
        Action::Reshard(args) => reshard(common, args).await,
    }
}

/// For what only looks: it may have to tell what is wrong with a Redis that can't be written to.
async fn look(common: &CommonArgs, args: &ProjectingArgs) -> anyhow::Result<(Engine, Admin)> {
    let engine = engine(common, args, Status::new(Readiness::default())).await?;
    if let Err(error @ tally_read_model::Error::Layout { .. }) = engine.model.log_id().await {
        return Err(error.into());
    }
    let admin = Admin::open(&engine).await.context("the log can't be read")?;
    Ok((engine, admin))
}

async fn open(common: &CommonArgs, args: &ProjectingArgs) -> anyhow::Result<(Engine, Admin)> {
    let (engine, admin) = look(common, args).await?;
    admin.writer.claim().await?;
    Ok((engine, admin))
}

async fn one(common: &CommonArgs, args: &ProjectionArgs) -> anyhow::Result<(Admin, Arc<dyn Fold>)> {
    let (_, admin) = open(common, &args.show.projecting).await?;
    let fold = admin.projection(&args.projection).context(NO_SUCH)?;
    Ok((admin, fold))
}

fn say(args: &ShowArgs, fold: &Arc<dyn Fold>, done: &str, text: &str) -> anyhow::Result<()> {
    if args.json {
        line(&serde_json::json!({ "projection": fold.name(), "done": done }).to_string())
    } else {
        line(text)
    }
}

async fn status(common: &CommonArgs, args: &ShowArgs) -> anyhow::Result<()> {
    let (_, admin) = look(common, &args.projecting).await?;
    show(args.json, &admin.list().await?)
}

/// Takes part in the work itself, as one more projector of this one projection, so that it is done whether others serve or not.
async fn rebuild(common: &CommonArgs, args: &RebuildArgs) -> anyhow::Result<()> {
    let show = &args.one.show;
    let (mut engine, admin) = open(common, &show.projecting).await?;
    let fold = admin.projection(&args.one.projection).context(NO_SUCH)?;
    let name = fold.name();
    // Where nothing was ever projected there is something to begin with.
    plan::begin(&admin.writer, name, &plan::Plan::first(fold.version()), None).await?;
    let conductor = admin.conductor(&fold);
    match conductor.begin(!args.wait_for_promotion).await {
        Ok(_) | Err(conduct::Error::Unfit(conduct::Unfit::UnderWay)) => {}
        Err(error) => return Err(error.into()),
    }
    engine.projections = vec![Arc::clone(&fold)];
    let (status, stop) = (engine.status.clone(), CancellationToken::new());
    let running = AbortOnDropHandle::new(tokio::spawn(engine.run(stop.clone())));
    let outcome = watch_rebuild(&admin, &fold, &status, show.json).await;
    stop.cancel();
    let _ = running.await;
    outcome
}

async fn watch_rebuild(admin: &Admin, fold: &Arc<dyn Fold>, status: &Status, json: bool) -> anyhow::Result<()> {
    let name = fold.name();
    let mut progress = Progress::start(name, json);
    let mut last: Option<Rebuild> = None;
    loop {
        if let Some(reason) = status.halted() {
            bail!("{reason}");
        }
        let facts = match admin.one(fold).await {
            Ok(facts) => facts,
            Err(failure) => {
                progress.say(&format!("waiting: {failure}"));
                sleep(PROGRESS_EVERY).await;
                continue;
            }
        };
        let Some(rebuild) = facts.rebuild else {
            let differing = last.as_ref().and_then(|rebuild| rebuild.comparison.as_ref()).map(|it| it.differing_views);
            let differing = differing.map(|count| format!("; {count} views differ from before")).unwrap_or_default();
            let text = format!(
                "rebuilt {name} up to position {}, generation {}{differing}",
                facts.checkpoint, facts.generation
            );
            progress.end(&text, &outcome(name, "promoted", facts.generation, last.as_ref()));
            return Ok(());
        };
        progress.at(&rebuild);
        if rebuild.waits_for_promotion && rebuild.caught_up && rebuild.comparison.is_some() {
            let differing = rebuild.comparison.as_ref().map_or(0, |comparison| comparison.differing_views);
            let text = format!(
                "built generation {} of {name}, {differing} views differ from those that are read; `projector promote {name}` makes it the one that is read",
                rebuild.generation
            );
            progress.end(&text, &outcome(name, "waits_for_promotion", rebuild.generation, Some(&rebuild)));
            return Ok(());
        }
        last = Some(rebuild);
        sleep(PROGRESS_EVERY).await;
    }
}

/// How a rebuild ended, for programs. How many views differ is null where it was over before anybody looked.
fn outcome(projection: &str, state: &str, generation: i64, rebuild: Option<&Rebuild>) -> serde_json::Value {
    let differing = rebuild.and_then(|rebuild| rebuild.comparison.as_ref()).map(|it| it.differing_views);
    serde_json::json!({ "projection": projection, "outcome": state, "generation": generation, "differing_views": differing })
}

async fn parked(common: &CommonArgs, args: &ParkedArgs) -> anyhow::Result<()> {
    let (_, admin) = open(common, &args.show.projecting).await?;
    if let Some(position) = args.retry {
        let fold = args.projection.as_deref().and_then(|name| admin.projection(name)).context("no such projection")?;
        let retried = admin.retry_parked(&fold, position).await?;
        let text = format!("folded {} event(s); {} still wait", retried.folded, retried.waiting);
        return say(&args.show, &fold, "retried", &text);
    }
    let events = admin.parked(args.projection.as_deref(), &ParkedPlace::default(), PARKED_SHOWN_MAX).await?;
    show::parked(args.show.json, &events)
}

async fn verify(common: &CommonArgs, args: &VerifyArgs) -> anyhow::Result<()> {
    let (_, admin) = open(common, &args.show.projecting).await?;
    let wanted = |fold: &&Arc<dyn Fold>| args.projection.as_deref().is_none_or(|name| name == fold.name());
    let folds: Vec<_> = admin.projections.iter().filter(wanted).cloned().collect();
    let mut progress = Progress::start("verify", args.show.json);
    let verified = admin.verify(&folds, |done, of| progress.done(done, of)).await?;
    progress.clear();
    show::verified(args.show.json, &verified)?;
    ensure!(verified.iter().all(crate::verify::Verified::is_right), "what was applied is not what the log holds");
    Ok(())
}

/// Removes the views of the number of shards that there is, and writes down the new one.
async fn reshard(common: &CommonArgs, args: &ShowArgs) -> anyhow::Result<()> {
    let engine = engine(common, &args.projecting, Status::new(Readiness::default())).await?;
    let before = match engine.model.log_id().await {
        Err(tally_read_model::Error::Layout { stored, .. }) => stored,
        Ok(_) => return line(&format!("there are {} read shards already", engine.model.shards())),
        Err(error) => return Err(error.into()),
    };
    let log_id = engine.store.log_id().await?;
    let options = Options { read_shards: before, ..args.projecting.redis_options() };
    let old = ReadModel::connect(&args.projecting.redis_url, &common.log, options)?.writer(log_id);
    ensure!(old.members().await?.is_empty(), "a projector serves: stop all projectors and query-services first");
    let mut removed = 0;
    for shard in (0..old.shards()).rev() {
        removed += old.clear(shard).await?;
    }
    engine.model.writer(log_id).claim().await?;
    line(&format!(
        "removed {removed} keys of {before} read shards; the next projector that serves fills {}",
        engine.model.shards()
    ))
}
