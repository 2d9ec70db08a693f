"""Pinned packages from the package index: found as pip's settings say, downloaded, resumed, checked."""
