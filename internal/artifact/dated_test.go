package artifact_test

import (
	"testing"

	"vitrine.example/internal/artifact"
)

// TestDates: a date in a document is a cause, in anything that runs it is not.
func TestDates(t *testing.T) {
	r := newRoom(t)
	for _, c := range []struct {
		name, a, b string
		mode       int64
		want       artifact.Verdict
	}{
		{"README", "Built on 2026-03-01 12:00:00 UTC.\n", "Built on 2026-03-02 07:30:11 UTC.\n", 0o644, artifact.Explained},
		{"usr/share/man/man1/app.1", ".TH APP 1 \"March 2026\"\n", ".TH APP 1 \"April 2026\"\n", 0o644, artifact.Explained},
		{"LICENSE", "Copyright (c) 2025 the vendor\n", "Copyright (c) 2026 the vendor\n", 0o644, artifact.Explained},
		{"docs/api.html", "<!-- Sun, 1 Mar 2026 12:00:00 GMT --><p>x\n", "<!-- Mon, 2 Mar 2026 12:00:00 GMT --><p>x\n", 0o644, artifact.Explained},
		{"docs/api.html", "<script>until('2026-03-01')</script>\n", "<script>until('2026-03-02')</script>\n", 0o644, artifact.Different},
		{"README", "Built on 2026-03-01, do this.\n", "Built on 2026-03-02, do that.\n", 0o644, artifact.Different},
		{"README", "#!/bin/sh\n# 2026-03-01\n", "#!/bin/sh\n# 2026-03-02\n", 0o644, artifact.Different},
		{"README", "2026-03-01\n", "2026-03-02\n", 0o755, artifact.Different},
		{"app.sh", "until 2026-03-01\n", "until 2026-03-02\n", 0o644, artifact.Different},
		{"app.txt", "until 2026-03-01\n", "until 2026-03-02\n", 0o644, artifact.Different},
		{"docs/CMakeLists.txt", "set(D 2026-03-01)\n", "set(D 2026-03-02)\n", 0o644, artifact.Different},
		{"docs/port.txt", "port 2024\n", "port 2025\n", 0o644, artifact.Different},
	} {
		one := file{name: c.name, body: c.a, mode: c.mode, kind: '0', time: day}
		two := one
		two.body = c.b
		rep := r.compare(t, tarOf(t, []file{one}), tarOf(t, []file{two}))
		if rep.Verdict != c.want {
			t.Errorf("%s, %q: %s, want %s: %+v", c.name, c.a, rep.Verdict, c.want, rep.Differences)
		}
		if c.want == artifact.Explained && causes(rep) != "embedded-date" {
			t.Errorf("%s: causes %q", c.name, causes(rep))
		}
	}
}
