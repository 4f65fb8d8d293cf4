//! What is to become of a projection: which generation of its views is the live one, which is being built, which is kept. It is the one
//! place where that is decided; the units of all shards follow it. A stored format.

use serde::{Deserialize, Serialize};
use tally_read_model::Error;

use crate::loss::Loss;
use crate::retry::Failure;
use crate::stores::Views;

/// How often a change is tried anew because somebody else changed the plan at the same time.
const CHANGES_TRIED_MAX: usize = 20;

/// What is to become of a projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The generation that is read.
    pub(crate) live: Generation,
    /// The one that is being built.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) building: Option<Building>,
    /// The one that was read before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) kept: Option<Kept>,
    /// The highest generation that there ever was.
    pub(crate) last_number: u64,
    /// Nothing is projected.
    #[serde(default)]
    pub(crate) paused: bool,
    /// Up to this version of the projection's code nothing is rebuilt unasked: it was rolled back.
    #[serde(default)]
    pub(crate) held_version: u32,
}

/// A generation of views, in all shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    /// The version of the projection's code that makes it.
    pub(crate) version: u32,
}

/// A generation that is being built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Building {
    pub(crate) generation: Generation,
    /// It becomes the live one as soon as it has caught up, without being asked for.
    pub(crate) promotes_itself: bool,
    /// Where the log ended when it began.
    pub(crate) head_at_start: u64,
    /// Milliseconds since 1970.
    pub(crate) started_at_ms: u64,
    /// What was found when it was compared with the live one; absent until then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) compared: Option<Comparison>,
}

/// How a new generation differs from the live one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// Views in the new generation.
    pub(crate) views: u64,
    /// How many of either differ or are in one of them only.
    pub(crate) differing: u64,
    /// Some that differ.
    pub(crate) sample: Vec<Difference>,
}

/// How one view differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Difference {
    pub(crate) view: String,
    pub(crate) how: String,
}

/// A generation that was live, and is kept for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) generation: Generation,
    /// Milliseconds since 1970.
    pub(crate) until_ms: u64,
}

impl Plan {
    /// Of a projection that there was nothing of before.
    pub(crate) fn first(version: u32) -> Self {
        Self::of(Generation { number: 1, version })
    }

    /// Of a projection whose plan is gone and whose views are not.
    pub(crate) fn of(live: Generation) -> Self {
        Self { live, building: None, kept: None, last_number: live.number, paused: false, held_version: 0 }
    }

    /// With a next generation under construction.
    pub(crate) fn rebuilding(mut self, version: u32, promotes_itself: bool, head: u64, now_ms: u64) -> Self {
        self.last_number += 1;
        self.building = Some(Building {
            generation: Generation { number: self.last_number, version },
            promotes_itself,
            head_at_start: head,
            started_at_ms: now_ms,
            compared: None,
        });
        self
    }

    /// With the generation under construction as the live one.
    pub(crate) fn promoted(mut self, kept_until_ms: u64) -> Self {
        if let Some(building) = self.building.take() {
            self.kept = Some(Kept { generation: self.live, until_ms: kept_until_ms });
            self.live = building.generation;
        }
        self
    }

    /// With the generation that was live before as the live one again.
    pub(crate) fn rolled_back(mut self) -> Self {
        if let Some(kept) = self.kept.take() {
            self.held_version = self.held_version.max(self.live.version);
            self.live = kept.generation;
        }
        self
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        serde_json::from_str(text)
            .map_err(|_| Failure::Passing("the projection's plan was written by a later version".to_owned()))
    }

    fn to_text(&self) -> Result<String, Failure> {
        serde_json::to_string(self).map_err(|error| Failure::Passing(error.to_string()))
    }
}

/// Reads a plan.
pub(crate) async fn read(views: &dyn Views, projection: &'static str) -> Result<Option<Plan>, Failure> {
    views.plan(projection).await?.map(|text| Plan::parse(&text)).transpose()
}

/// Begins a plan where there is none, and keeps the loss of the one that there was; returns the one that there is then, and whether it is this.
pub(crate) async fn begin(
    views: &dyn Views,
    projection: &'static str,
    plan: &Plan,
    loss: Option<&Loss>,
) -> Result<(Plan, bool), Failure> {
    let (text, loss) = (plan.to_text()?, loss.map(Loss::to_text));
    let (is_this, now) = views.change_plan(projection, None, &text, loss.as_deref()).await?;
    Ok((Plan::parse(&now.unwrap_or_default())?, is_this))
}

/// Changes a plan; None where `change` finds nothing to change.
pub(crate) async fn change(
    views: &dyn Views,
    projection: &'static str,
    mut change: impl FnMut(Plan) -> Option<Plan>,
) -> Result<Option<Plan>, Failure> {
    for _ in 0..CHANGES_TRIED_MAX {
        let Some(from) = views.plan(projection).await? else { return Ok(None) };
        let Some(to) = change(Plan::parse(&from)?) else { return Ok(None) };
        let text = to.to_text()?;
        if views.change_plan(projection, Some(&from), &text, None).await?.0 {
            return Ok(Some(to));
        }
    }
    Err(Error::Unavailable("the plan keeps changing".to_owned()).into())
}
