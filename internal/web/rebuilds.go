package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/circle"
	"vitrine.example/internal/projection"
	"vitrine.example/statement"
)

// pageRebuilds is how many rebuilds a page lists.
const pageRebuilds = 25

func (s *site) rebuildRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /rebuilds", s.page(s.rebuilds))
	mux.HandleFunc("GET /rebuild/{digest}", s.page(s.rebuild))
	mux.HandleFunc("GET /explanation/{digest}", s.page(s.explanation))
	mux.HandleFunc("GET /jobs", s.page(s.jobs))
	mux.HandleFunc("GET /jobs/{id}", s.live(s.page(s.job)))
	mux.HandleFunc("GET /jobs/{id}/log", s.jobLog)
}

// speaker is who says something: the owner of a log.
type speaker struct {
	Origin    string
	Name      string // of the organisation; the origin where it is not known
	Country   string
	Continent string
	URL       string // of its node; empty where it is not known
	Own       bool   // this node
}

// speakers are those whom this node knows, by origin.
func (s *site) speakers(ctx context.Context) (map[string]speaker, error) {
	out := map[string]speaker{}
	h, err := s.history(ctx)
	if err != nil && !errors.Is(err, circle.ErrNone) {
		return nil, err
	}
	if h != nil {
		for _, m := range h.Current.Members {
			out[m.Origin] = speaker{Origin: m.Origin, Name: m.Name, Country: m.Country, Continent: m.Continent, URL: strings.TrimSuffix(m.URL, "/")}
		}
	}
	own := out[s.Info.Origin]
	own.Origin, own.Name, own.URL, own.Own = s.Info.Origin, s.Info.Name, s.Info.URL, true
	out[s.Info.Origin] = own
	return out, nil
}

// saidRebuild is a rebuild with who says it and what of it can be read here.
type saidRebuild struct {
	projection.Rebuild
	By      speaker
	Base    string // address of the log that it stands in
	Vendor  bool   // who released says it
	LogHeld bool   // the build log of the last attempt can be had here
	Page    string // address of the explanation; empty: there is none
}

// say puts a rebuild beside who says it.
func (s *site) say(r projection.Rebuild, who map[string]speaker) saidRebuild {
	x := saidRebuild{Rebuild: r, By: who[r.Origin], Base: s.base(r.Origin)}
	if x.By.Origin == "" {
		x.By = speaker{Origin: r.Origin, Name: r.Origin}
	}
	x.LogHeld = r.Log != nil && s.held(r.Log.SHA256)
	if r.Explanation != nil {
		x.Page = "/explanation/" + r.Explanation.SHA256.String()
	}
	return x
}

// Elsewhere is the address at which who says it shows a page of its own; empty
// where that is not known, or it is this node.
func (x saidRebuild) Elsewhere() string {
	if x.By.Own || !strings.HasPrefix(x.By.URL, "https://") && !strings.HasPrefix(x.By.URL, "http://") {
		return ""
	}
	return x.By.URL
}

// rebuiltBy returns the newest of what each organisation says of a release.
func (s *site) rebuiltBy(ctx context.Context, release digest.Digest, vendor string) ([]saidRebuild, error) {
	all, err := s.Projection.RebuildsOf(ctx, release, 1, maxRebuilds)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	who, err := s.speakers(ctx)
	if err != nil {
		return nil, err
	}
	var out []saidRebuild
	for _, r := range all {
		x := s.say(r, who)
		x.Vendor = r.Origin == vendor
		out = append(out, x)
	}
	return out, nil
}

// rebuildsPage lists rebuilds, newest first.
type rebuildsPage struct {
	Rebuilds []saidRebuild
	Outcome  statement.Outcome // empty: any
	Release  string            // digest; empty: of all
	Outcomes []statement.Outcome
	Older    string // address of the next page; empty: there is none
	First    bool
	Jobs     bool // this node rebuilds
	Alerts   []Alert
}

// Address is that of the list from its beginning, for an outcome and a release.
func (p *rebuildsPage) Address(o statement.Outcome, release string) string {
	q := url.Values{}
	if o != "" {
		q.Set("outcome", string(o))
	}
	if release != "" {
		q.Set("release", release)
	}
	if len(q) == 0 {
		return "/rebuilds"
	}
	return "/rebuilds?" + q.Encode()
}

// allOutcomes are the outcomes from the best to the worst.
var allOutcomes = []statement.Outcome{statement.Identical, statement.Explained, statement.Different, statement.Failed}

func (s *site) rebuilds(r *http.Request) (string, any, error) {
	q := r.URL.Query()
	p := &rebuildsPage{Outcome: statement.Outcome(q.Get("outcome")), Release: q.Get("release"), Outcomes: allOutcomes, Jobs: s.Jobs != nil}
	f := projection.RebuildFilter{Outcome: p.Outcome, Limit: pageRebuilds + 1}
	if p.Outcome != "" && !slices.Contains(allOutcomes, p.Outcome) {
		return "", nil, fmt.Errorf("%w: outcome=%.40q", errInvalid, string(p.Outcome))
	}
	if p.Release != "" {
		var err error
		if f.Release, err = digest.Parse(p.Release); err != nil {
			return "", nil, fmt.Errorf("%w: %w", errInvalid, err)
		}
	}
	after, err := s.rebuildCursor(r.Context(), q.Get("after"))
	if err != nil {
		return "", nil, err
	}
	p.First = after == nil
	if p.Alerts, err = s.alerts(r.Context()); err != nil {
		return "", nil, err
	}
	all, err := s.Projection.Rebuilds(r.Context(), f, after)
	if err != nil {
		return "", nil, err
	}
	who, err := s.speakers(r.Context())
	if err != nil {
		return "", nil, err
	}
	if len(all) > pageRebuilds {
		all = all[:pageRebuilds]
		p.Older = p.older(&all[pageRebuilds-1])
	}
	for _, x := range all {
		p.Rebuilds = append(p.Rebuilds, s.say(x, who))
	}
	return "rebuilds", p, nil
}

// older is the address of the next page.
func (p *rebuildsPage) older(last *projection.Rebuild) string {
	a := p.Address(p.Outcome, p.Release)
	sep := "?"
	if strings.Contains(a, "?") {
		sep = "&"
	}
	return a + sep + "after=" + cursorOf(last)
}

// cursorOf is the place behind a rebuild, as addresses have it.
func cursorOf(r *projection.Rebuild) string {
	return strconv.FormatInt(r.Finished.UnixMicro(), 10) + "." + digest.Of([]byte(r.Origin)).String() + "." + strconv.FormatInt(r.Index, 10)
}

// rebuildCursor reads such a place; nil for none.
func (s *site) rebuildCursor(ctx context.Context, v string) (*projection.RebuildCursor, error) {
	c, err := s.cursor(ctx, v)
	if err != nil || c == nil {
		return nil, err
	}
	return &projection.RebuildCursor{Finished: c.Published, Origin: c.Origin, Index: c.Index}, nil
}

// rebuildPage is one rebuild.
type rebuildPage struct {
	saidRebuild
	Attempts []attempt
	Release  *projection.Release // nil: not held here
}

// attempt is one try, with what of it can be read here.
type attempt struct {
	statement.RebuildAttempt
	LogHeld bool
}

// Took is how long it was, in whole seconds as it is said.
func (a attempt) Took() time.Duration { return a.Finished.Sub(a.Started) }

func (s *site) rebuild(r *http.Request) (string, any, error) {
	ctx := r.Context()
	d, err := pathDigest(r)
	if err != nil {
		return "", nil, err
	}
	one, err := s.Projection.OneRebuild(ctx, d)
	if err != nil {
		return "", nil, err
	}
	who, err := s.speakers(ctx)
	if err != nil {
		return "", nil, err
	}
	p := rebuildPage{saidRebuild: s.say(*one, who)}
	p.Release, err = s.Projection.Release(ctx, one.Release)
	if errors.Is(err, projection.ErrUnknown) {
		p.Release, err = nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	p.Vendor = p.Release != nil && p.Release.Origin == one.Origin
	env, err := s.stored(ctx, d)
	if err != nil {
		return "", nil, err
	}
	said, err := env.Statement().Rebuild()
	if err != nil {
		return "", nil, fmt.Errorf("reading the statement %s: %w", d, err)
	}
	for _, a := range said.Attempts {
		p.Attempts = append(p.Attempts, attempt{a, a.Log != nil && s.held(a.Log.SHA256)})
	}
	return "rebuild", p, nil
}

// outcomeSays is what an outcome means, for people.
func outcomeSays(o statement.Outcome) string {
	switch o {
	case statement.Identical:
		return "the same bytes, to the last bit"
	case statement.Explained:
		return "other bytes, and every difference has a harmless cause that was proved"
	case statement.Different:
		return "other bytes, for which there is no harmless explanation"
	case statement.Failed:
		return "it could not be built"
	}
	return "not said"
}

// reasonSays is why an attempt failed, for people.
func reasonSays(r statement.Reason) string {
	switch r {
	case statement.ReasonExited:
		return "a step of the build ended with an error"
	case statement.ReasonSignalled:
		return "a step of the build was ended by a signal"
	case statement.ReasonTime, statement.ReasonMemory, statement.ReasonDisk:
		return "the build needed more " + map[statement.Reason]string{
			statement.ReasonTime: "time", statement.ReasonMemory: "memory", statement.ReasonDisk: "disk"}[r] + " than it may have"
	case statement.ReasonLog:
		return "the build wrote a longer log than it may"
	case statement.ReasonOutputs:
		return "an output is missing, too large or of a kind that is refused"
	case statement.ReasonCancelled:
		return "the operator ended it"
	case statement.ReasonKilled:
		return "it was killed from outside"
	case statement.ReasonRecipe:
		return "there is no recipe, or it is refused"
	case statement.ReasonInputs:
		return "something that the build needs cannot be had"
	case statement.ReasonArtifact:
		return "what shipped cannot be had"
	case statement.ReasonEngine:
		return "no sandbox could be made"
	case statement.ReasonLost:
		return "the machine that built it was not heard of again"
	}
	return string(r)
}
