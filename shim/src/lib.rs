//! A containerd shim (runtime v2) for hull.
