mod desk;
mod decode;
mod diff;
mod fake;
mod market;
mod replay;
mod smoke;
