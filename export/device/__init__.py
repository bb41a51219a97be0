"""The pack that a device runs: the file, images, one script; and a page that runs it in a browser."""
