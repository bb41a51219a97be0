"""What a SavedModel needs beside its graph to be served: a manifest, requests that warm it up, and configuration files."""
