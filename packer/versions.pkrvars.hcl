# What an image downloads, and what it must be. packer/pin fills this file; README.md says where the vendors publish their hashes.
pins = {
}
