//! What can go wrong, by name.

use std::time::Duration;

use crate::proxy::Mode;

macro_rules! faults {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal on $target:ident,)*) => {
        /// A fault that the kit can inject. Each begins, holds for a while, and heals.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Fault {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// What it is called on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it takes hold of; no other fault takes hold of the same meanwhile.
            pub fn target(self) -> Target {
                match self {
                    $(Self::$variant => Target::$target,)*
                }
            }
        }
    };
}

/// What a fault takes hold of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target {
    /// One of the replicas of command-service.
    Command,
    /// The projector.
    Projector,
    /// One of the replicas of query-service.
    Query,
    /// Postgres.
    Postgres,
    /// Redis.
    Redis,
    /// The connections of clients.
    Clients,
    /// The connections to Postgres.
    ToPostgres,
    /// The connections to Redis.
    ToRedis,
    /// All services.
    Services,
    /// Nothing that anything else could take hold of.
    Nothing,
}

faults! {
    /// kill -9 of a command-service.
    KillCommand = "kill-command" on Command,
    /// kill -9 of the projector.
    KillProjector = "kill-projector" on Projector,
    /// kill -9 of a query-service.
    KillQuery = "kill-query" on Query,
    /// SIGSTOP of a command-service.
    FreezeCommand = "freeze-command" on Command,
    /// SIGSTOP of the projector.
    FreezeProjector = "freeze-projector" on Projector,
    /// SIGSTOP of a query-service.
    FreezeQuery = "freeze-query" on Query,
    /// SIGSTOP of a command-service for longer than any time-out, while others go on.
    FrozenReplica = "frozen-replica" on Command,
    /// kill -9 of all of Postgres's processes.
    KillPostgres = "kill-postgres" on Postgres,
    /// Postgres stops in immediate mode and is started again.
    ImmediatePostgres = "immediate-postgres" on Postgres,
    /// SIGSTOP of all of Postgres's processes.
    FreezePostgres = "freeze-postgres" on Postgres,
    /// The disk under Postgres is full.
    DiskFull = "disk-full" on Postgres,
    /// All connections to the database are ended from outside.
    TerminateBackends = "terminate-backends" on ToPostgres,
    /// A transaction with an id stays open in another database of the same cluster.
    ForeignTransaction = "foreign-transaction" on Nothing,
    /// kill -9 of Redis.
    KillRedis = "kill-redis" on Redis,
    /// SIGSTOP of Redis.
    FreezeRedis = "freeze-redis" on Redis,
    /// Everything in Redis is deleted.
    EmptyRedis = "empty-redis" on Redis,
    /// Redis is killed and comes back without its data.
    ForgetRedis = "forget-redis" on Redis,
    /// Redis is killed, and a replica that lags behind takes its place.
    PromoteReplica = "promote-replica" on Redis,
    /// Connections of clients are cut and refused.
    CutClients = "cut-clients" on Clients,
    /// What clients send and get is delayed.
    DelayClients = "delay-clients" on Clients,
    /// Connections of clients stay open and carry nothing.
    HalfOpenClients = "half-open-clients" on Clients,
    /// Clients' requests arrive, the replies don't.
    DropRepliesClients = "drop-replies-clients" on Clients,
    /// Connections to Postgres are cut and refused.
    CutPostgres = "cut-postgres" on ToPostgres,
    /// What goes to and from Postgres is delayed.
    DelayPostgres = "delay-postgres" on ToPostgres,
    /// Connections to Postgres stay open and carry nothing.
    HalfOpenPostgres = "half-open-postgres" on ToPostgres,
    /// Statements reach Postgres, its replies don't come back.
    DropRepliesPostgres = "drop-replies-postgres" on ToPostgres,
    /// Connections to Redis are cut and refused.
    CutRedis = "cut-redis" on ToRedis,
    /// What goes to and from Redis is delayed.
    DelayRedis = "delay-redis" on ToRedis,
    /// Connections to Redis stay open and carry nothing.
    HalfOpenRedis = "half-open-redis" on ToRedis,
    /// Commands reach Redis, its replies don't come back.
    DropRepliesRedis = "drop-replies-redis" on ToRedis,
    /// A second projector runs beside the first.
    SecondProjector = "second-projector" on Nothing,
    /// The services' clock is an hour ahead, then as far behind.
    Clock = "clock" on Nothing,
    /// All services are restarted, one after the other.
    RollingRestart = "rolling-restart" on Services,
    /// Clients give most of their calls up before the answer.
    CancellingClients = "cancelling-clients" on Nothing,
}

impl Target {
    /// Whether two faults would get into each other's way.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        let service = |target| matches!(target, Self::Command | Self::Projector | Self::Query);
        match (self, other) {
            (Self::Nothing, _) | (_, Self::Nothing) => false,
            (Self::Services, other) | (other, Self::Services) => other == Self::Services || service(other),
            (one, other) => one == other,
        }
    }
}

impl Fault {
    /// Whether it takes a server of the kit's own, which it may stop, kill and empty.
    pub(crate) fn needs_own_servers(self) -> bool {
        matches!(self.target(), Target::Postgres | Target::Redis)
    }

    /// Whether all goes on as if nothing were: then no answer may be late or flagged because of it.
    pub(crate) fn is_harmless(self) -> bool {
        matches!(self, Self::ForeignTransaction | Self::SecondProjector | Self::Clock)
    }

    /// How long it holds: for some, something other than the schedule says.
    pub(crate) fn hold(self, scheduled: Duration) -> Duration {
        match self {
            // Longer than the longest of the time-outs of statements, calls and idle transactions.
            Self::FrozenReplica => Duration::from_secs(13),
            // Longer than a read waits, and up to a minute.
            Self::ForeignTransaction => (20 * scheduled).clamp(Duration::from_secs(12), Duration::from_secs(60)),
            Self::SecondProjector | Self::Clock => 2 * scheduled,
            _ => scheduled,
        }
    }

    /// What the connections carry meanwhile, of a fault of connections.
    pub(crate) fn mode(self, scheduled: Duration) -> Option<Mode> {
        // A tenth of the hold, so that short ones are short delays.
        let delay = (scheduled / 10).max(Duration::from_millis(5));
        match self {
            Self::CutClients | Self::CutPostgres | Self::CutRedis => Some(Mode::Cut),
            Self::DelayClients | Self::DelayPostgres | Self::DelayRedis => Some(Mode::Delay(delay)),
            Self::HalfOpenClients | Self::HalfOpenPostgres | Self::HalfOpenRedis => Some(Mode::HalfOpen),
            Self::DropRepliesClients | Self::DropRepliesPostgres | Self::DropRepliesRedis => Some(Mode::DropReplies),
            _ => None,
        }
    }
}
