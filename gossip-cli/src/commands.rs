//! The commands: a module each, of the command's name.

pub(crate) mod assassinate;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod decode;
pub(crate) mod decommission;
pub(crate) mod describecluster;
pub(crate) mod disablegossip;
pub(crate) mod enablegossip;
pub(crate) mod exporter;
pub(crate) mod failuredetector;
pub(crate) mod getseeds;
pub(crate) mod gossipinfo;
pub(crate) mod info;
pub(crate) mod lab;
pub(crate) mod reloadkeys;
pub(crate) mod reloadseeds;
pub(crate) mod reloadssl;
pub(crate) mod ring;
pub(crate) mod run;
pub(crate) mod sd;
pub(crate) mod set;
pub(crate) mod status;
pub(crate) mod statusgossip;
pub(crate) mod stop;
pub(crate) mod waitfor;
pub(crate) mod watch;
