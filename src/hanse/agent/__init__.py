"""The site's agent: takes instructions, holds roles through drivers, finishes cut-overs, reports."""
