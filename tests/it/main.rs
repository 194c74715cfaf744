mod desk;
mod smoke;
