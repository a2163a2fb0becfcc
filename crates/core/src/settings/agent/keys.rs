//! The agent's keys, of which `--help` and the tables in the docs are made.

use crate::settings::{Key, Side};

/// The keys below `[agent]`.
pub const AGENT_KEYS: &[Key] = &[
    Key::optional(
        "idle_timeout",
        Side::Agent,
        "duration or `\"never\"`",
        "`\"10m\"`",
        "how long without a job before the instance leaves",
    ),
    Key::optional(
        "confirm",
        Side::Agent,
        "duration",
        "`\"5s\"`, or half of `idle_timeout` if that is shorter",
        "the last part of `idle_timeout`, in which a fresh look at everything must be quiet; shorter than `idle_timeout`, at most 10 min",
    ),
    Key::optional(
        "slots",
        Side::Agent,
        "1 to 1000",
        "`1`",
        "jobs that the runner takes at once; some platforms' runners take one only",
    ),
    Key::optional(
        "jobs_per_instance",
        Side::Agent,
        "number",
        "any",
        "after so many jobs (busy periods, with several slots) the instance leaves",
    ),
    Key::optional(
        "max_age",
        Side::Agent,
        "duration or `\"never\"`",
        "`\"never\"`",
        "after so long in service, or up to a tenth less, it takes no more jobs and leaves",
    ),
    Key::optional(
        "boot_deadline",
        Side::Agent,
        "duration",
        "`\"10m\"`",
        "not ready by then: broken, the instance leaves",
    ),
    Key::optional(
        "before_register",
        Side::Agent,
        "program",
        "none",
        "your own program for each boot, run as the agent's user before anything is registered; when it fails, the instance leaves as broken",
    ),
    Key::optional(
        "before_register_timeout",
        Side::Agent,
        "duration",
        "`\"5m\"`",
        "how long that program may take; then it is killed, and has failed. `boot_deadline` begins when it has ended",
    ),
    Key::optional(
        "abort_margin",
        Side::Agent,
        "1 s to 110 s",
        "`\"25s\"`",
        "how long before a spot deadline jobs that still run are failed visibly",
    ),
    Key::optional(
        "unknown_limit",
        Side::Agent,
        "duration",
        "`\"15m\"`",
        "how long doubt may last: while serving, after the proof, or with a quiet runner after it was told to exit",
    ),
    Key::optional(
        "protection",
        Side::Agent,
        "`\"always\"`, `\"while-busy\"`",
        "`\"always\"`",
        "`while-busy` is for groups that something else shrinks; it needs a termination hook",
    ),
    Key::optional(
        "leave_on_rebalance",
        Side::Agent,
        "true, false",
        "`true`",
        "whether a rebalance recommendation is a reason to leave",
    ),
    Key::optional(
        "rebalance_after",
        Side::Agent,
        "duration",
        "`\"15m\"`",
        "how long it has been in service, at least, before it leaves because of a rebalance recommendation; up to half as long again, so that a pool does not leave at once",
    ),
    Key::optional(
        "floor_retry",
        Side::Agent,
        "duration",
        "`\"60s\"`",
        "how often an idle instance at the group's floor asks again",
    ),
    Key::optional(
        "rung_patience",
        Side::Agent,
        "duration",
        "`\"10m\"`",
        "how long one way to end the instance may take before a blunter one is tried",
    ),
    Key::optional(
        "hook",
        Side::Agent,
        "text",
        "found",
        "the termination hook that is this agent's to answer; without it, the one that waits longest. All of the group's are extended while jobs run",
    ),
    Key::optional(
        "launch_hook",
        Side::Agent,
        "text",
        "none",
        "the launch hook that is this agent's to answer: CONTINUE once nothing is missing but the start of the runner, ABANDON when the boot fails, extended meanwhile",
    ),
    Key::optional(
        "metrics",
        Side::Agent,
        "`host:port` or `\"off\"`",
        "`\"127.0.0.1:9252\"`",
        "where the runner serves its metrics",
    ),
    Key::optional(
        "runner_unit",
        Side::Agent,
        "`\"auto\"`, true, false",
        "`\"auto\"`",
        "whether the runner gets a systemd unit of its own; auto: where systemd runs",
    ),
    Key::optional(
        "runner_user",
        Side::Agent,
        "text",
        "`lightsout-runner`; the agent's own where that is not root",
        "as whom the runner and its jobs run; `root` only by name",
    ),
    Key::optional(
        "runner_docker",
        Side::Agent,
        "`\"auto\"`, true, false",
        "`\"auto\"`",
        "whether that user may use the Docker engine, with which jobs are as good as root; auto: where the platform's jobs are containers",
    ),
    Key::optional(
        "metadata_guard",
        Side::Agent,
        "`\"auto\"`, `\"containers\"`, `\"off\"`",
        "`\"auto\"`",
        "who is kept from the instance's metadata service, and so from its role: containers on a network of their own and the runner's user, unless its process needs it and its jobs are containers; with `containers` jobs of that user reach it; with `off` every job may, and can end the group's other instances with the role",
    ),
    Key::optional(
        "runner_env",
        Side::Agent,
        "list of `\"NAME\"` or `\"NAME=value\"`",
        "none",
        "variables for the runner and its jobs: handed on from the agent, or set; besides `PATH`, the language, the time zone, proxies and certificates they get no other",
    ),
    Key::optional(
        "power_off",
        Side::Agent,
        "program",
        "`[\"systemctl\", \"poweroff\"]`",
        "the last way to end the machine",
    ),
    Key::optional("state_dir", Side::Agent, "path", "`/var/lib/lightsout`", "journal, status file, the runner's files"),
    Key::optional(
        "socket",
        Side::Agent,
        "path",
        "`/run/lightsout/agent.sock`",
        "where `status`, `drain`, `hold` reach the agent",
    ),
];

/// The keys below `[docker]`.
pub const DOCKER_KEYS: &[Key] = &[
    Key::optional("enabled", Side::Agent, "true, false", "`true`", "whether containers are watched"),
    Key::optional("socket", Side::Agent, "path", "`/var/run/docker.sock`", "the engine"),
];

/// The keys below `[imds]`.
pub const IMDS_KEYS: &[Key] = &[
    Key::optional(
        "spot",
        Side::Agent,
        "duration",
        "`\"1s\"`",
        "how often the metadata service is asked for a spot notice",
    ),
    Key::optional("target", Side::Agent, "duration", "`\"2s\"`", "the same for the target lifecycle state"),
    Key::optional("rebalance", Side::Agent, "duration", "`\"5s\"`", "the same for a rebalance recommendation"),
    Key::optional("maintenance", Side::Agent, "duration", "`\"60s\"`", "the same for scheduled maintenance"),
];
