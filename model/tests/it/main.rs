//! What the model checker finds, and histories that broke another library.

mod histories;
mod searches;
