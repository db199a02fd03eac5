//! What must pass, and what must not.

mod addresses;
mod adversary;
mod budget;
mod checkpoints;
mod counts;
mod datagrams;
mod dns;
mod documents;
mod first_bytes;
mod foreign_source;
mod inbound;
mod init;
mod life;
mod limits;
mod mark;
mod names;
mod observe;
mod opaque;
mod open_files;
mod operator_away;
mod outer_interface;
mod own_ports;
mod peers;
mod proof;
mod revocation;
mod signed;
