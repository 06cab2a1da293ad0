"""Ray, here and elsewhere: a local one, one at an address, jobs, and what is shipped with them."""
