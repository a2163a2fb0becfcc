//! The keys of the scaler's settings: the reader, `--help` and the tables in the docs come from here.

use crate::settings::{Key, Side};

/// The keys at the top of the file.
pub const SCALER_KEYS: &[Key] = &[
    Key::optional("tick", Side::Scaler, "1 s to 1 h", "`\"10s\"`", "the pause between two ticks of `watch`"),
    Key::optional(
        "deadline",
        Side::Scaler,
        "100 ms to 5 min",
        "`\"8s\"`",
        "how long one pool may be read, and how long its raise may take once it has its turn, before its tick counts as failed",
    ),
];

/// The keys below `[[pool]]`; all but `group` and `name` may stand below `[defaults]`.
pub const POOL_KEYS: &[Key] = &[
    Key::required(
        "group",
        Side::Scaler,
        "text",
        "the Auto Scaling group, by its name; the Azure scale set, by its resource id; or what your own program calls it",
    ),
    Key::optional(
        "cloud",
        Side::Scaler,
        "program",
        "told by the group's name",
        "your own program that stands for the cloud: docs/clouds.md",
    ),
    Key::optional("name", Side::Scaler, "text", "the group's", "the name in records; unique"),
    Key::optional("region", Side::Scaler, "text", "the environment's", "the group's region; a resource id says it"),
    Key::optional("slots", Side::Scaler, "1 to 1000", "`1`", "jobs that one instance takes at once; as on the agents"),
    Key::optional("spare", Side::Scaler, "number", "`0`", "instances kept ready beyond the demand"),
    Key::optional(
        "schedule",
        Side::Scaler,
        "list of texts",
        "none",
        "`spare` by the clock, as `\"mon-fri 07:30-18:00 spare 4\"`: days or none for each, hours or none for the whole day; the last entry in \
         force overrides `spare` and those before it",
    ),
    Key::optional(
        "zone",
        Side::Scaler,
        "text",
        "none",
        "whose clock the schedule goes by: `\"UTC\"`, a POSIX rule such as `\"CET-1CEST,M3.5.0,M10.5.0/3\"`, or a name such as \
         `\"Europe/Berlin\"` where the system has zones (Lambda has none)",
    ),
    Key::optional("min", Side::Scaler, "number", "the group's", "a higher lower bound than the group's"),
    Key::optional("max", Side::Scaler, "number", "the group's", "a lower upper bound than the group's"),
    Key::optional("utilisation", Side::Scaler, "1 to 100", "`100`", "how full the slots are planned, in percent"),
    Key::optional("threshold", Side::Scaler, "number", "`1`", "fewer waiting jobs than this count as none"),
    Key::optional("max_step", Side::Scaler, "number", "none", "the most instances that one tick adds"),
    Key::optional(
        "cooldown",
        Side::Scaler,
        "duration",
        "`\"0s\"`",
        "how long nothing is raised after a raise (`watch` only)",
    ),
    Key::optional(
        "silent_after",
        Side::Scaler,
        "1 s to 1 day",
        "`\"25m\"`",
        "how long instances may neither take a waiting job nor leave until one is raised past them (`watch`, `once --state`); of the time between two looks 30 s count at most; more than the agents' \
         `boot_deadline` and `idle_timeout` together",
    ),
    Key::optional(
        "count_running",
        Side::Scaler,
        "true, false",
        "`true`",
        "false if the platform's running jobs are not this pool's alone",
    ),
    Key::required(
        "platform",
        Side::Scaler,
        "table, or a name",
        "the CI platform; a name, or `platform.from = \"NAME\"`, refers to `[platforms.NAME.KIND]`, and the pool's own keys go first",
    ),
    Key::optional(
        "webhook",
        Side::Scaler,
        "table",
        "none",
        "a webhook that makes the scaler look at once; its keys are below",
    ),
];

/// The keys below `pool.webhook`.
pub const WEBHOOK_KEYS: &[Key] = &[
    Key::required("kind", Side::Scaler, "a platform's name", "whose webhook it is"),
    Key::required("secret", Side::Scaler, "secret", "set at the platform, too"),
    Key::optional("path", Side::Scaler, "text", "the pool's name", "the last part of its address"),
];
