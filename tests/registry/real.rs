//! Debian's `docker-registry`, filled by `skopeo`. Each test is left out, and says so, where one of them is missing.
