package test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"vitrine.example/digest"
	"vitrine.example/internal/centre"
	"vitrine.example/internal/content"
	"vitrine.example/internal/fixture"
	"vitrine.example/statement"
)

// browserExplanation has a bit of everything, and long words.
var browserExplanation = `{"artifacts":[{"name":"app","note":"","outcome":"different","report":{
"schema":"https://vitrine.example/explain/v1","verdict":"different","rung":"sections",
"shipped":{"name":"app","format":"ELF executable, amd64, Go 1.26.0","size":11214848,"sha256":"` + strings.Repeat("a1", 32) + `"},
"rebuilt":{"name":"app","format":"ELF executable, amd64, Go 1.26.0","size":11214848,"sha256":"` + strings.Repeat("b2", 32) + `"},
"compared":{"files":2,"members":0,"read":22429696,"inflated":0},
"causes":[{"name":"gnu build-id","where":"app","shipped":"0x5b2f6d3c","rebuilt":"0x11f0aa01","proved":true,"proof":"set in the rebuilt file, it gives the shipped bytes"},
{"name":"mtime","where":"app.tar.gz → app.tar","members":14,"example":"./usr/share/doc/app/README","shipped":"2026-03-01 12:00:00","rebuilt":"1970-01-01 00:00:00","proved":false,"proof":""}],
"differences":[{"where":"app → .text","what":"function main.withinLimit differs","shipped":"48 bytes","rebuilt":"48 bytes","hunks":[
{"title":"main.withinLimit, limit.go:12","lines":["  MOVQ 0x8(SP), CX","- CMPQ CX, $0x64","+ CMPQ CX, $0x3e8","  JLT 0x4a1b20","- CALL runtime.` + strings.Repeat("veryLongName", 8) + `","  RET"],"more":3}]},
{"what":"only shipped","shipped":"extra.bin","rebuilt":""}],
"omitted":2,"unread":["data.7z: no format that is read here"],"ignored":["times of files on the disk"]}},
{"name":"pack.tgz","outcome":"different","note":"the archive is the vendor's","members":[{"path":"bin/app","how":"identical","shipped":"` + strings.Repeat("c3", 32) + `","rebuilt":"` + strings.Repeat("c3", 32) + `"},{"path":"firmware.blob","how":"private","shipped":"` + strings.Repeat("d4", 32) + `"}]}]}`

// sayRebuilds has the node say what came of building a release again, and
// returns the pages about it.
func sayRebuilds(t *testing.T, h *centre.Handle, dir string, release *statement.Envelope) []string {
	t.Helper()
	c, err := content.Open(filepath.Join(dir, "content"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(typ, s string) *statement.Evidence {
		in, err := c.Put(t.Context(), content.Public, strings.NewReader(s), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return &statement.Evidence{MediaType: typ, Size: in.Size, SHA256: in.Digest}
	}
	why := put("application/vnd.vitrine.explanation+json", browserExplanation)
	log := put("text/plain", "go build -o app .\n")
	var said []digest.Digest
	for i, s := range []fixture.Said{
		{Outcome: statement.Failed, Detail: "step 3: exit status 2: " + strings.Repeat("long/path/", 12)},
		{Outcome: statement.Explained, Explanation: why, Log: log},
		{Outcome: statement.Identical, Log: log},
		{Outcome: statement.Different, Explanation: why, Log: log, Detail: "function main.withinLimit differs", Tries: 2},
	} {
		s.At = fixture.Epoch.Add(time.Duration(i) * time.Hour)
		p := s.Rebuilt(release)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		d, _, err := h.Say(ctx, p.Subjects(), p)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, d)
	}
	return []string{"/rebuilds", "/rebuilds?outcome=failed", "/rebuild/" + said[0].String(), "/rebuild/" + said[3].String(),
		"/explanation/" + why.SHA256.String(), "/jobs"}
}

// TestWalkToTheDifference clicks from a release to what differs in it, as a
// customer does who was told not to use a file.
func TestWalkToTheDifference(t *testing.T) {
	n := serveForBrowser(t)
	ctx := newBrowser(t)
	click := func(link string) string {
		t.Helper()
		if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(link))); err != nil {
			t.Fatalf("clicking %s: %v", link, err)
		}
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(n.addr+"/")); err != nil {
		t.Fatal(err)
	}
	if text := click(`nav a[href="/rebuilds"]`); !strings.Contains(text, "different") || !strings.Contains(text, "app 1.0.0") {
		t.Errorf("rebuilds:\n%s", text)
	}
	if text := click(`tbody tr:first-child th a`); !strings.Contains(text, "Built again") || !strings.Contains(text, "the publisher itself") {
		t.Errorf("release:\n%s", text)
	}
	if text := click(`a[href^="/explanation/"]`); !strings.Contains(text, "function main.withinLimit differs") || !strings.Contains(text, "CMPQ CX, $0x3e8") {
		t.Errorf("difference:\n%s", text)
	}
	if text := click(`main a[href^="/rebuild/"]`); !strings.Contains(text, "Attempts") {
		t.Errorf("rebuild:\n%s", text)
	}
}
