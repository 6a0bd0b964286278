package web_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/circle"
	"vitrine.example/internal/fixture"
	"vitrine.example/internal/projection/projectiontest"
	"vitrine.example/internal/web"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// history is a circle that a site shows.
type history struct{ *circle.History }

func (h history) Circle(context.Context) (*circle.History, error) { return h.History, nil }

// found makes a circle of the shop and an invited member, with a proposed
// second list that revokes a key.
func (s *shop) found(t *testing.T) *circle.History {
	t.Helper()
	at := time.Date(2030, 1, 4, 0, 0, 0, 0, time.UTC)
	other := fixture.New("other", key.P256, "ams")
	c := &statement.Circle{Name: "Programme <b>of Example", Version: 1, Published: at, Rule: statement.Rule{Witnesses: 1}, Members: []statement.Member{
		{Name: "Example <i>Ltd", Origin: projectiontest.Origin, URL: "https://" + projectiontest.Origin, Country: "DE", Continent: "EU", Roles: []string{"vendor"},
			Statement: []statement.MemberKey{{Key: string(s.Key.Public().PEM()), From: at}}, Log: []statement.MemberKey{{Key: s.Log.Verifier().String(), Until: at}}},
		{Name: "Amsterdam", Origin: other.Origin, URL: "https://" + other.Origin, Country: "NL", Continent: "EU", Roles: []string{"centre", "reviewer"},
			Statement: []statement.MemberKey{{Key: string(other.Vendor.Public().PEM())}}, Log: []statement.MemberKey{{Key: other.Log.Verifier().String()}},
			Witness: []statement.MemberKey{{Key: other.Witnesses[0].Verifier().String()}}},
	}}
	say := func(c *statement.Circle) proof.Logged {
		st, err := statement.New(c.Subjects(), c)
		if err != nil {
			t.Fatal(err)
		}
		env, err := statement.Sign(st, s.Key)
		if err != nil {
			t.Fatal(err)
		}
		index := s.Submit(t, env)
		text, err := s.Ledger.Proof(t.Context(), index)
		if err != nil {
			t.Fatal(err)
		}
		p, err := tlog.ParseProof(text)
		if err != nil {
			t.Fatal(err)
		}
		return proof.Logged{Envelope: env, Proof: p}
	}
	first := say(c)
	root := first.Envelope.Digest()
	next := *c
	next.Version, next.Previous = 2, &root
	next.Revoked = []statement.Revocation{{Key: digest.Of([]byte("old")), Since: at, Reason: "lost <b>in"}}
	h, err := circle.Evaluate(root, []proof.Logged{first, say(&next)})
	if err != nil {
		t.Fatal(err)
	}
	s.Catch(t)
	return h
}

func TestCirclePage(t *testing.T) {
	s := newShop(t)
	for path, code := range map[string]int{"/circle": 200, "/circle.json": 404, "/api/v1/circle": 404} {
		if got := s.do("GET", path).Code; got != code {
			t.Errorf("without a circle, %s: %d, want %d", path, got, code)
		}
	}
	if body := s.do("GET", "/circle").Body.String(); !strings.Contains(body, "belongs to no circle") || wellFormed(body) != nil {
		t.Errorf("without a circle: %v\n%s", wellFormed(body), body)
	}
	h := s.found(t)
	s.o.Circle = history{h}
	s.build(t)
	body := s.do("GET", "/circle").Body.String()
	if err := wellFormed(body); err != nil {
		t.Errorf("%v\n%s", err, body)
	}
	for _, want := range []string{
		"Programme &lt;b&gt;of Example", "sha256:" + h.Root.String(), "Amsterdam", "NL", "centre, reviewer", "has not agreed, counts for nothing",
		"Version 2: in force", "Version 1: superseded", "lost &lt;b&gt;in", h.Current.Members[0].Statement[0].ID().String(), "from <time", "until <time",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	for _, never := range []string{"<script", "style=", "<b>of", "<i>Ltd", "<nil>", "%!", "ZgotmplZ"} {
		if strings.Contains(body, never) {
			t.Errorf("the page has %q", never)
		}
	}
	r := s.do("GET", "/circle.json")
	b, err := proof.Parse(r.Body.Bytes())
	if err != nil || r.Header().Get("Content-Type") != proof.MediaType || r.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("%v, %v", err, r.Header())
	}
	if again, err := circle.Evaluate(h.Root, b.Statements); err != nil || again.Current.Version != 2 {
		t.Errorf("the file: %v", err)
	}
	var api struct {
		Version  int64
		Members  []struct{ Origin, State string }
		Versions []struct{ Have, Need int }
	}
	if err := json.Unmarshal(s.do("GET", "/api/v1/circle").Body.Bytes(), &api); err != nil || api.Version != 2 || len(api.Members) != 2 ||
		api.Members[1].State != "invited" || len(api.Versions) != 2 || api.Versions[0].Need != 1 {
		t.Errorf("%v: %+v", err, api)
	}
}

// told are dealings that a site shows.
type told []web.Dealing

func (d told) Dealings(context.Context) ([]web.Dealing, error) { return d, nil }

// TestThePageNamesMembersThatFail: what each is asked for, when it was, and what
// is wrong, in words, without what only the operator may read.
func TestThePageNamesMembersThatFail(t *testing.T) {
	s := newShop(t)
	s.o.Circle = history{s.found(t)}
	at := time.Date(2030, 1, 5, 6, 7, 8, 0, time.UTC)
	secret := "dial tcp 10.1.2.3:443: "
	s.o.Dealings = told{
		{Member: "good.example", For: web.ForCosigning, Asked: at, Answered: at, Size: 1234},
		{Member: "slow.example", For: web.ForMirroring, Asked: at, Fault: secret + "context deadline exceeded"},
		{Member: "away.example", For: web.ForLog, Fault: secret + "connect: connection refused"},
		{Member: "flood.example", For: web.ForViews, Asked: at, Fault: "/gossip/views: more than 4194304 bytes"},
		{Member: "liar.example", For: web.ForViews, Asked: at, Fault: "/gossip/views: <b>signature does not verify"},
		{Member: "moved.example", For: web.ForViews, Asked: at, Fault: "the other node answered with a redirection"},
	}
	s.build(t)
	body := s.do("GET", "/circle").Body.String()
	if err := wellFormed(body); err != nil {
		t.Errorf("%v\n%s", err, body)
	}
	for _, want := range []string{
		"How they answer", "good.example", "1,234", "2030-01-05 06:07:08 UTC", "nothing is wrong", "not yet",
		"does not answer in time", "cannot be reached", "answers with more than is read", "answers what does not hold", "redirection, which is not followed",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	for _, never := range []string{"10.1.2.3", "<b>signature", "deadline exceeded"} {
		if strings.Contains(body, never) {
			t.Errorf("the page has %q", never)
		}
	}
}
