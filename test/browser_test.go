package test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"vitrine.example/internal/centre"
	"vitrine.example/internal/release"
)

// browserNode is a served node with two releases.
type browserNode struct {
	addr  string
	pages []string
}

func serveForBrowser(t *testing.T) browserNode {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "node")
	fatal(centre.Init(ctx, dir, centre.InitOptions{
		Name: "A Rather Long Name of an Organisation Ltd", URL: "http://127.0.0.1:8080", Listen: "127.0.0.1:0", MLDSA: true,
	}))
	log := slog.New(slog.DiscardHandler)
	n, err := centre.Open(ctx, dir, log)
	fatal(err)
	serving, stop := context.WithCancel(ctx)
	up, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- n.Serve(serving, func(a string) { up <- a }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := n.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	b := browserNode{}
	select {
	case b.addr = <-up:
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	h, err := centre.Connect(ctx, dir, log)
	fatal(err)
	defer func() { fatal(h.Close(ctx)) }()
	p, err := h.Publisher(nil)
	fatal(err)
	files, source := t.TempDir(), t.TempDir()
	fatal(os.WriteFile(filepath.Join(source, "main.c"), []byte("int main(void) { return 0; }\n"), 0o600))
	long := filepath.Join(files, "a-file-with-a-name-that-is-long-"+strings.Repeat("long-", 20)+".tar.gz")
	fatal(os.WriteFile(long, []byte("long"), 0o600))
	short := filepath.Join(files, "app")
	fatal(os.WriteFile(short, []byte("short"), 0o600))
	first, err := p.Publish(ctx, release.Request{
		Product: "pkg:generic/app", Version: "1.0.0", Artifacts: []string{short, long},
		Source: source, Notes: "https://example.org/notes",
	})
	fatal(err)
	_, err = p.Publish(ctx, release.Request{
		Product: "pkg:generic/" + strings.Repeat("long-product-", 8) + "end", Version: "2.0.0-" + strings.Repeat("rc.", 20) + "1",
		Channel: "stable", Artifacts: []string{short},
	})
	fatal(err)
	b.pages = sayRebuilds(t, h, dir, first.Envelope)
	d := first.Envelope.Digest().String()
	b.pages = append(b.pages, "/", "/releases", "/release/"+d, "/log", "/log/0", "/logs", "/statement/"+d, "/circle")
	return b
}

// newBrowser starts Chromium with a profile of its own.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("this test needs Chromium: apt-get install chromium")
	}
	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// watched is what a browser did while it showed pages.
type watched struct {
	mu       sync.Mutex
	requests []string
	messages []string
}

func (w *watched) take() (requests, messages []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	requests, messages = w.requests, w.messages
	w.requests, w.messages = nil, nil
	return requests, messages
}

func (w *watched) event(ev any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		w.requests = append(w.requests, ev.Request.URL)
	case *runtime.EventConsoleAPICalled:
		w.messages = append(w.messages, fmt.Sprint("console.", ev.Type))
	case *runtime.EventExceptionThrown:
		w.messages = append(w.messages, "exception: "+ev.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded:
		w.messages = append(w.messages, fmt.Sprintf("%s: %s %s", ev.Entry.Level, ev.Entry.Text, ev.Entry.URL))
	}
}

// What the pages are asked in the browser.
const (
	askWidth = `document.documentElement.scrollWidth - document.documentElement.clientWidth`
	askShape = `[document.querySelectorAll('h1').length, document.querySelectorAll('main').length,
		document.querySelectorAll('script').length, document.scripts.length].join()`
	// WCAG 2.1, 1.4.3: every piece of text against the nearest background.
	askContrast = `(() => {
		const rgb = c => (c.match(/[\d.]+/g) || []).map(Number);
		const lum = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
			.reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
		const ground = e => {
			for (; e; e = e.parentElement) {
				const c = rgb(getComputedStyle(e).backgroundColor);
				if (c.length === 3 || c[3] === 1) return c;
			}
			return [255, 255, 255];
		};
		const poor = new Set();
		for (const e of document.body.querySelectorAll('*')) {
			if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
			const a = lum(rgb(getComputedStyle(e).color)), b = lum(ground(e));
			const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
			if (ratio < 4.5) poor.add(e.tagName + '.' + e.className + ' ' + ratio.toFixed(2));
		}
		return [...poor].join('; ');
	})()`
	askNames = `[...document.querySelectorAll('a, summary, [role=region]')].filter(e => !e.textContent.trim()).length`
	// What can be scrolled can be reached with the keyboard.
	askScroll = `[...document.querySelectorAll('pre')].filter(e => e.scrollHeight > e.clientHeight + 1 && e.tabIndex < 0).length`
)

// TestPagesInABrowser shows every page in a real browser: wide and narrow,
// light and dark, with script switched off. A page must fit, be readable, ask
// for nothing from elsewhere and leave nothing in the console.
func TestPagesInABrowser(t *testing.T) {
	n := serveForBrowser(t)
	ctx := newBrowser(t)
	var w watched
	step := func(actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, actions...); err != nil {
			t.Fatal(err)
		}
	}
	step(chromedp.Navigate("about:blank"))
	if err := chromedp.Listen(ctx, w.event); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"light", "dark"} {
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}); err != nil {
			t.Fatal(err)
		}
		for _, width := range []int64{1280, 360} {
			step(chromedp.EmulateViewport(width, 800))
			for _, page := range n.pages {
				w.take()
				step(chromedp.Navigate(n.addr + page))
				where := fmt.Sprintf("%s, %s, %d wide", page, scheme, width)
				if over, err := chromedp.Run(ctx, chromedp.Evaluate[int](askWidth)); err != nil || over > 0 {
					t.Errorf("%s: %d pixels too wide, %v", where, over, err)
				}
				if poor, err := chromedp.Run(ctx, chromedp.Evaluate[string](askContrast)); err != nil || poor != "" {
					t.Errorf("%s: poor contrast: %s, %v", where, poor, err)
				}
				if shape, err := chromedp.Run(ctx, chromedp.Evaluate[string](askShape)); err != nil || shape != "1,1,0,0" {
					t.Errorf("%s: headings, mains, scripts: %s, %v", where, shape, err)
				}
				for what, ask := range map[string]string{"links without a name": askNames, "scrolled texts out of the keyboard's reach": askScroll} {
					if bad, err := chromedp.Run(ctx, chromedp.Evaluate[int](ask)); err != nil || bad != 0 {
						t.Errorf("%s: %d %s, %v", where, bad, what, err)
					}
				}
				requests, messages := w.take()
				if len(messages) > 0 {
					t.Errorf("%s: the console says %q", where, messages)
				}
				if len(requests) == 0 {
					t.Errorf("%s: no request was seen", where)
				}
				for _, r := range requests {
					if u, err := url.Parse(r); err != nil || u.Scheme+"://"+u.Host != n.addr {
						t.Errorf("%s: a request to %s", where, r)
					}
				}
			}
		}
	}
}

// TestKeyboard: the first stop of the keyboard leads past the navigation, and
// every link shows that it has the focus.
func TestKeyboard(t *testing.T) {
	n := serveForBrowser(t)
	ctx := newBrowser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(n.addr+"/"), chromedp.KeyEvent(kb.Tab)); err != nil {
		t.Fatal(err)
	}
	first, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.activeElement.className + ' ' + document.activeElement.getBoundingClientRect().left`))
	if err != nil || first != "skip 0" {
		t.Errorf("the first stop is %q, %v; want the visible link past the navigation", first, err)
	}
	if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
		t.Fatal(err)
	}
	if main, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.activeElement.id`)); err != nil || main != "main" {
		t.Errorf("after it the focus is on %q, %v", main, err)
	}
	for i := range 6 {
		if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Tab)); err != nil {
			t.Fatal(err)
		}
		outline, err := chromedp.Run(ctx, chromedp.Evaluate[string](`getComputedStyle(document.activeElement).outlineStyle`))
		if err != nil || outline != "solid" {
			t.Errorf("stop %d has the outline %q, %v", i, outline, err)
		}
	}
}

// TestWalkToTheEvidence clicks from the start page to a release and on to its
// statement, as a visitor does.
func TestWalkToTheEvidence(t *testing.T) {
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
	if text := click(`nav a[href="/releases"]`); !strings.Contains(text, "pkg:generic/app") {
		t.Errorf("releases:\n%s", text)
	}
	if text := click(`tbody tr:last-child a[href^="/release/"]`); !strings.Contains(text, "app 1.0.0") || !strings.Contains(text, "never leaves a reading room") {
		t.Errorf("release:\n%s", text)
	}
	if text := click(`#evidence ~ p a[href^="/statement/"]`); !strings.Contains(text, "release/v1") || !strings.Contains(text, "c2sp.org/tlog-proof@v1") {
		t.Errorf("statement:\n%s", text)
	}
	if text := click(`a[href="/log/0"]`); !strings.Contains(text, "hashedRekordV002") {
		t.Errorf("entry:\n%s", text)
	}
}
