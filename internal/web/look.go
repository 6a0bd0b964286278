package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"

	"vitrine.example/digest"
)

//go:embed templates static
var assets embed.FS

// pageNames are the templates that a handler may ask for.
var pageNames = []string{
	"start", "releases", "release", "log", "entry", "statement",
	"logs",
	"circle", "witness", "forks",
	"rebuilds", "rebuild", "explanation", "jobs", "job",
	"error",
}

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

	Forked []forked // logs that the page warns of
}

// draw renders a page completely before anything is sent.
func (l *look) draw(name string, page any, warn []forked) ([]byte, error) {
	t, ok := l.pages[name]
	if !ok {
		return nil, fmt.Errorf("there is no page %q", name)
	}
	var b bytes.Buffer
	err := t.Execute(&b, frame{Node: l.info, Style: l.styleURL, Nav: name, Page: page, Forked: warn})
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
