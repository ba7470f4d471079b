-- The documents whose blocks are run.

return {"README.md", "docs/guide.md", "docs/coming-from.md", "docs/simulator.md",
  "examples/fleet/README.md"}
