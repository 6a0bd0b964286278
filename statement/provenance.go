package statement

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/strictjson"
)

// ProvenanceType is the predicate type of SLSA provenance v1
// (https://slsa.dev/spec/v1.0/provenance).
const ProvenanceType = "https://slsa.dev/provenance/v1"

// JobBuildType is the buildType of a [Provenance] whose build is a job of ours
// (docs/spec/rebuild.md, "Provenance").
const JobBuildType = Prefix + "job/v1"

// Provenance is what a centre says of a file that it built itself, in the form
// of SLSA: the builder is the centre. The subjects of the statement are the
// files that were made.
type Provenance struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is SLSA's: what went in.
type BuildDefinition struct {
	BuildType            string             `json:"buildType"` // JobBuildType
	ExternalParameters   ExternalParameters `json:"externalParameters"`
	InternalParameters   InternalParameters `json:"internalParameters"`
	ResolvedDependencies []Dependency       `json:"resolvedDependencies"`
}

// ExternalParameters are what the vendor chose.
type ExternalParameters struct {
	Recipe  digest.Digest  `json:"recipe"`
	Release *digest.Digest `json:"release,omitzero"` // envelope of the release that was rebuilt
}

// InternalParameters are what the centre chose.
type InternalParameters struct {
	Job    digest.Digest `json:"job"`
	Engine string        `json:"engine"`
}

// Dependency is a ResourceDescriptor of in-toto: something that went in.
type Dependency struct {
	Name   string            `json:"name,omitzero"`
	URI    string            `json:"uri,omitzero"` // where it may be fetched
	Digest map[string]string `json:"digest"`
}

// RunDetails is SLSA's: who built it, and when.
type RunDetails struct {
	Builder   Builder       `json:"builder"`
	Metadata  BuildMetadata `json:"metadata"`
	Byproduct []Dependency  `json:"byproducts,omitzero"` // the log
}

// Builder names the centre.
type Builder struct {
	ID string `json:"id"` // base URL of the centre's node
}

// BuildMetadata says when it was built.
type BuildMetadata struct {
	InvocationID string    `json:"invocationId"`
	StartedOn    time.Time `json:"startedOn"`
	FinishedOn   time.Time `json:"finishedOn"`
}

// maxDependencies bounds what went in, so that the statement stays small.
const maxDependencies = 4096

// PredicateType returns [ProvenanceType].
func (p *Provenance) PredicateType() string { return ProvenanceType }

// Provenance decodes a provenance of the build type [JobBuildType]; what it
// returns is valid. Another's, which may have members that are not known here,
// is refused.
func (s *Statement) Provenance() (*Provenance, error) {
	if s.PredicateType != ProvenanceType {
		return nil, fmt.Errorf("statement: predicateType %.200q, want %q", s.PredicateType, ProvenanceType)
	}
	p := new(Provenance)
	if err := strictjson.Unmarshal(s.Predicate, p, strictjson.Limits{Size: MaxSize, Depth: MaxDepth}); err != nil {
		return nil, fmt.Errorf("statement: predicate: %w", err)
	}
	if err := p.Validate(s.Subject); err != nil {
		return nil, fmt.Errorf("statement: predicate: %w", err)
	}
	return p, nil
}

// Validate checks p against the subjects of its statement.
func (p *Provenance) Validate(subject []Subject) error {
	if err := p.BuildDefinition.check(); err != nil {
		return fmt.Errorf("buildDefinition: %w", err)
	}
	if err := p.RunDetails.check(); err != nil {
		return fmt.Errorf("runDetails: %w", err)
	}
	if len(subject) == 0 {
		return errors.New("subject: none: a provenance is about the files that were made")
	}
	return nil
}

func (b *BuildDefinition) check() error {
	switch {
	case b.BuildType != JobBuildType:
		return fmt.Errorf("buildType: %.80q, want %q", b.BuildType, JobBuildType)
	case b.ExternalParameters.Recipe.IsZero():
		return errNoDigest("externalParameters/recipe")
	case b.ExternalParameters.Release != nil && b.ExternalParameters.Release.IsZero():
		return errNoDigest("externalParameters/release")
	case b.InternalParameters.Job.IsZero():
		return errNoDigest("internalParameters/job")
	case !isChannel(b.InternalParameters.Engine):
		return fmt.Errorf("internalParameters/%w", errEngine(b.InternalParameters.Engine))
	}
	return checkDependencies("resolvedDependencies", b.ResolvedDependencies)
}

func checkDependencies(name string, list []Dependency) error {
	if len(list) > maxDependencies {
		return fmt.Errorf("%s: %d of them, at most %d are allowed", name, len(list), maxDependencies)
	}
	for i, d := range list {
		err := Subject{Name: d.Name, URI: d.URI, Digest: d.Digest}.check()
		if err == nil && d.URI != "" && !isAbsoluteURI(d.URI) {
			err = fmt.Errorf("uri: %.80q is not an absolute URI", d.URI)
		}
		if err != nil {
			return fmt.Errorf("%s/%d: %w", name, i, err)
		}
	}
	return nil
}

func (r *RunDetails) check() error {
	m := &r.Metadata
	if err := checkURL(r.Builder.ID, isPageURL, "https or http"); err != nil {
		return fmt.Errorf("builder/id: %w", err)
	}
	if m.InvocationID == "" || len(m.InvocationID) > 256 || !isFileText(m.InvocationID) {
		return errors.New("metadata/invocationId: want 1 to 256 printable characters")
	}
	for _, t := range []struct {
		name string
		at   time.Time
	}{{"startedOn", m.StartedOn}, {"finishedOn", m.FinishedOn}} {
		if err := checkTime(t.at); err != nil {
			return fmt.Errorf("metadata/%s: %w", t.name, err)
		}
	}
	if m.FinishedOn.Before(m.StartedOn) {
		return errors.New("metadata/finishedOn: before it started")
	}
	return checkDependencies("byproducts", r.Byproduct)
}

// Dependencies sorts what went in by name and leaves out what does not fit into
// one statement; the job, by its digest, has all of it.
func Dependencies(list []Dependency) []Dependency {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Dependency) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
	return list[:min(len(list), maxDependencies)]
}
