package statement_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/strictjson"
	"vitrine.example/key"
	"vitrine.example/statement"
)

var circleTime = time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)

// aCircle is a valid second version of two members.
func aCircle(t testing.TB) *statement.Circle {
	t.Helper()
	previous := digest.Of([]byte("version 1"))
	c := &statement.Circle{
		Name: "Programme", Version: 2, Previous: &previous, Published: circleTime,
		Rule:    statement.Rule{Consents: 2, Witnesses: 1},
		Revoked: []statement.Revocation{{Key: digest.Of([]byte("old")), Since: circleTime, Reason: "stolen"}},
	}
	for _, x := range []struct{ origin, country, continent string }{{"a.example", "NL", "EU"}, {"b.example", "SG", "AS"}} {
		c.Members = append(c.Members, statement.Member{
			Name: "Org " + x.origin, Origin: x.origin, URL: "https://" + x.origin, Country: x.country, Continent: x.continent,
			Roles:     []string{"centre", "reviewer"},
			Statement: []statement.MemberKey{{Key: string(newSigner(t, key.P256).Public().PEM()), From: circleTime}},
			Log:       []statement.MemberKey{{Key: x.origin + "+00000001+AQ", Until: circleTime}},
			Witness:   []statement.MemberKey{{Key: x.origin + "/witness+00000002+BA"}},
		})
	}
	return c
}

// schemaSays validates a predicate.
func schemaSays(t testing.TB, file string, p any) error {
	t.Helper()
	raw, err := strictjson.Canonical(p)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return compileSchema(t, file).Validate(v)
}

func TestCircleKindsRoundTrip(t *testing.T) {
	c := aCircle(t)
	about := []statement.Subject{statement.NewSubject("Programme", digest.Of([]byte("x")))}
	k := newSigner(t, key.P256)
	for file, x := range map[string]struct {
		subject []statement.Subject
		p       statement.Predicate
	}{
		"circle-v1.schema.json":  {c.Subjects(), c},
		"consent-v1.schema.json": {about, &statement.Consent{Circle: "Programme", Version: 2, Origin: "a.example", At: circleTime}},
		"leave-v1.schema.json":   {about, &statement.Leave{Circle: "Programme", Version: 2, Origin: "a.example", At: circleTime, Reason: "closed"}},
	} {
		s, err := statement.New(x.subject, x.p)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		env, err := statement.Sign(s, k)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if _, err := statement.Parse(env.Bytes()); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if err := schemaSays(t, file, x.p); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// What Validate refuses; where schema is set, the schema refuses it too.
func TestHostileCircles(t *testing.T) {
	for name, x := range map[string]struct {
		change func(c *statement.Circle)
		says   string
		schema bool
	}{
		"no members":          {func(c *statement.Circle) { c.Members = nil }, "members", true},
		"too many members":    {func(c *statement.Circle) { c.Members = make([]statement.Member, 257) }, "members", true},
		"version 0":           {func(c *statement.Circle) { c.Version = 0 }, "version", true},
		"first with previous": {func(c *statement.Circle) { c.Version = 1 }, "previous", true},
		"no previous":         {func(c *statement.Circle) { c.Previous = nil }, "previous", true},
		"other subject":       {func(c *statement.Circle) { d := digest.Of([]byte("y")); c.Previous = &d }, "subject", false},
		"name with a newline": {func(c *statement.Circle) { c.Name = "a\nb" }, "name", false},
		"rule of none":        {func(c *statement.Circle) { c.Rule.Consents = -1 }, "rule", true},
		"more witnesses":      {func(c *statement.Circle) { c.Rule.Witnesses = 2 }, "rule", false},
		"local time":          {func(c *statement.Circle) { c.Published = circleTime.In(time.FixedZone("x", 3600)) }, "published", true},
		"one origin twice":    {func(c *statement.Circle) { c.Members[1].Origin, c.Members[1].URL = "a.example", "https://a.example" }, "twice", false},
		"one key twice":       {func(c *statement.Circle) { c.Members[1].Statement = c.Members[0].Statement }, "listed already", false},
		"one vkey twice":      {func(c *statement.Circle) { c.Members[1].Mirror = c.Members[0].Witness }, "listed already", false},
		"revoked and listed":  {func(c *statement.Circle) { c.Revoked[0].Key = c.Members[0].Log[0].ID() }, "revoked", false},
		"revoked twice":       {func(c *statement.Circle) { c.Revoked = append(c.Revoked, c.Revoked[0]) }, "twice", false},
		"no reason":           {func(c *statement.Circle) { c.Revoked[0].Reason = "" }, "reason", true},
		"no statement key":    {func(c *statement.Circle) { c.Members[0].Statement = nil }, "statement", true},
		"no log key":          {func(c *statement.Circle) { c.Members[0].Log = nil }, "log", true},
		"private key":         {func(c *statement.Circle) { c.Members[0].Statement[0].Key = "-----BEGIN PRIVATE KEY-----\n" }, "key", true},
		"no vkey":             {func(c *statement.Circle) { c.Members[0].Log[0].Key = "a.example" }, "vkey", true},
		"until before from":   {func(c *statement.Circle) { c.Members[0].Statement[0].Until = circleTime.Add(-time.Hour) }, "until", false},
		"url of another host": {func(c *statement.Circle) { c.Members[0].URL = "https://x.example" }, "url", false},
		"url with a path":     {func(c *statement.Circle) { c.Members[0].URL = "https://a.example/x" }, "url", true},
		"port and a path":     {func(c *statement.Circle) { c.Members[0].URL = "https://a.example:8/x" }, "url", true},
		"file url":            {func(c *statement.Circle) { c.Members[0].URL = "file://a.example" }, "url", true},
		"no such country":     {func(c *statement.Circle) { c.Members[0].Country = "XX" }, "country", false},
		"country in words":    {func(c *statement.Circle) { c.Members[0].Country = "Netherlands" }, "country", true},
		"another continent":   {func(c *statement.Circle) { c.Members[0].Continent = "AS" }, "continent", false},
		"no such continent":   {func(c *statement.Circle) { c.Members[0].Continent = "XX" }, "continent", true},
		"no role":             {func(c *statement.Circle) { c.Members[0].Roles = nil }, "roles", true},
		"one role twice":      {func(c *statement.Circle) { c.Members[0].Roles = []string{"centre", "centre"} }, "roles", true},
		"role in capitals":    {func(c *statement.Circle) { c.Members[0].Roles[0] = "Centre" }, "roles", true},
	} {
		t.Run(name, func(t *testing.T) {
			c := aCircle(t)
			subject := c.Subjects()
			x.change(c)
			err := c.Validate(subject)
			if err == nil || !strings.Contains(err.Error(), x.says) {
				t.Fatalf("%v, want %q", err, x.says)
			}
			if bySchema := schemaSays(t, "circle-v1.schema.json", c); x.schema != (bySchema != nil) {
				t.Errorf("the schema says %v, want a refusal: %t", bySchema, x.schema)
			}
		})
	}
}

func TestHostileConsents(t *testing.T) {
	d := digest.Of([]byte("x"))
	good := statement.Consent{Circle: "Programme", Version: 2, Origin: "a.example", At: circleTime}
	subject := []statement.Subject{statement.NewSubject("Programme", d)}
	if err := good.Validate(subject); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(c *statement.Consent, s *[]statement.Subject){
		"no subject":   func(_ *statement.Consent, s *[]statement.Subject) { *s = nil },
		"two subjects": func(_ *statement.Consent, s *[]statement.Subject) { *s = append(*s, statement.NewSubject("y", d)) },
		"other name":   func(c *statement.Consent, _ *[]statement.Subject) { c.Circle = "Other" },
		"no digest": func(_ *statement.Consent, s *[]statement.Subject) {
			*s = []statement.Subject{statement.NewSubject("Programme", digest.Digest{})}
		},
		"version 0":        func(c *statement.Consent, _ *[]statement.Subject) { c.Version = 0 },
		"origin with port": func(c *statement.Consent, _ *[]statement.Subject) { c.Origin = "a.example:1" },
		"no time":          func(c *statement.Consent, _ *[]statement.Subject) { c.At = time.Time{} },
	} {
		c, s := good, append([]statement.Subject(nil), subject...)
		f(&c, &s)
		if err := c.Validate(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestContinents(t *testing.T) {
	for country, want := range map[string]string{
		"DE": "EU", "SG": "AS", "US": "NA", "BR": "SA", "ZA": "AF", "NZ": "OC", "AQ": "AN", "RU": "EU", "TR": "AS",
		"XX": "", "de": "", "": "", "D": "", "DEU": "", "E ": "", " D": "",
	} {
		if got := statement.ContinentOf(country); got != want {
			t.Errorf("%q: %q, want %q", country, got, want)
		}
	}
}
