"""Videos and cameras to depth: sources, overlapping stages, stabilisation, point clouds."""
