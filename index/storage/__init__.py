"""Files of a collection: the storage object, array files, segments, manifests."""
