package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vitrine.example/digest"
	"vitrine.example/statement"
)

//go:embed templates static
var assets embed.FS

// pageNames are the templates that a handler may ask for.
var pageNames = []string{"start", "releases", "release", "log", "entry", "statement", "error"}

// look is how pages are drawn: templates and the few static files.
type look struct {
	info     Info
	pages    map[string]*template.Template
	css      []byte
	icon     []byte
	styleURL string // holds the style's digest, so that it may be cached for ever
}

func newLook(info Info) (*look, error) {
	l := &look{info: info, pages: map[string]*template.Template{}}
	var err error
	if l.css, err = assets.ReadFile("static/style.css"); err != nil {
		return nil, err
	}
	if l.icon, err = assets.ReadFile("static/favicon.svg"); err != nil {
		return nil, err
	}
	l.styleURL = "/static/" + digest.Of(l.css).String()[:16] + "/style.css"
	for _, name := range pageNames {
		t := template.New("layout.html").Funcs(words).Option("missingkey=error")
		if l.pages[name], err = t.ParseFS(assets, "templates/layout.html", "templates/parts.html", "templates/"+name+".html"); err != nil {
			return nil, fmt.Errorf("reading the template %s: %w", name, err)
		}
	}
	return l, nil
}

// frame is what the layout needs.
type frame struct {
	Node  Info
	Style string
	Nav   string // the part of the site that the page belongs to
	Page  any
}

// draw renders a page completely before anything is sent.
func (l *look) draw(name string, page any) ([]byte, error) {
	t, ok := l.pages[name]
	if !ok {
		return nil, fmt.Errorf("there is no page %q", name)
	}
	var b bytes.Buffer
	err := t.Execute(&b, frame{Node: l.info, Style: l.styleURL, Nav: name, Page: page})
	if err != nil {
		return nil, fmt.Errorf("drawing the page %s: %w", name, err)
	}
	return b.Bytes(), nil
}

func (l *look) style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", immutable)
	send(w, "text/css; charset=utf-8", l.css)
}

func (l *look) favicon(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=86400")
	send(w, "image/svg+xml", l.icon)
}

func (l *look) robots(w http.ResponseWriter, r *http.Request) {
	send(w, "text/plain; charset=utf-8", []byte("User-agent: *\nDisallow: /api/\nDisallow: /content/\nDisallow: /bundle/\nDisallow: /tile/\nDisallow: /proof/\n"))
}

// words are the functions of the templates.
var words = template.FuncMap{
	"short":   func(s fmt.Stringer) string { return s.String()[:12] + "…" },
	"bytes":   humanBytes,
	"commas":  commas,
	"utc":     func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05 UTC") },
	"day":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
	"rfc3339": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"kind":    shortType,
	"access":  accessWords,
	"add":     func(a, b int64) int64 { return a + b },
	"web":     func(s string) bool { return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") },
}

// shortType is a predicate type as a table shows it.
func shortType(t string) string {
	if own, ok := strings.CutPrefix(t, statement.Prefix); ok {
		return own
	}
	return strings.TrimPrefix(t, "https://")
}

// accessWords says what an access class means to a reader (DESIGN §3).
func accessWords(class string) string {
	switch class {
	case "public":
		return "anyone may have it"
	case "circle":
		return "only nodes of the circle may have it"
	case "room":
		return "it never leaves a reading room; only its digest is public"
	case "sealed":
		return "encrypted to its readers; only its digest is public"
	}
	return "not said"
}

// commas writes 1234567 as 1,234,567.
func commas(n any) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// humanBytes writes a size in decimal units.
func humanBytes(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	f, units := float64(n), []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	i := -1
	for f >= 999.5 && i < len(units)-1 {
		f, i = f/1000, i+1
	}
	if f < 10 {
		return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) + " " + units[i]
	}
	return strconv.FormatFloat(math.Round(f), 'f', -1, 64) + " " + units[i]
}
