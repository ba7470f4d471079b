-- The documents whose blocks are run.

return {"README.md", "docs/tour.md", "docs/install.md", "docs/guide.md", "docs/cheatsheet.md",
  "docs/vms.md", "docs/watchdog.md", "docs/requests.md", "docs/dumps.md", "docs/triage.md",
  "docs/linux-guests.md", "docs/crashes.md", "docs/types.md", "docs/gdb.md", "docs/errata.md",
  "docs/reports.md", "docs/prompt.md", "docs/coming-from.md", "docs/simulator.md", "docs/qnx.md",
  "examples/fleet/README.md"}
