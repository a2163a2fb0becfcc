//! Whole fleets on this machine: the real `lightsout` with the real agent, scaler and runner as processes of their own,
//! broken in many ways while they work. Whatever happens, no job is lost and nothing is left behind.
//!
//! Tests wait for events, never for a time to pass. Two fleets run at once at most, however many threads the tests have.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent_input;
mod azure;
mod commands;
mod crash;
mod disk;
mod doctor;
mod doctor_aws;
mod doctor_azure;
mod ends;
mod explain;
mod faults;
mod first_boot;
mod group;
mod leaving;
mod moving;
mod platforms;
mod records;
mod rig;
mod scaler_input;
mod simulated;
mod stand_ins;
mod warm;
mod whole;
