package statement

import (
	"fmt"
	"time"

	"vitrine.example/digest"
)

// ReleaseType is the predicate type of [Release] (docs/spec/release-v1.md).
const ReleaseType = Prefix + "release/v1"

// Release says that the signer ships these artifacts as a version of a product.
// The subjects of the statement are the artifacts: each by name and sha256.
type Release struct {
	Product   string         `json:"product"`           // package URL without version, canonical
	Version   string         `json:"version"`           // 1 to 128 printable characters
	Channel   string         `json:"channel,omitzero"`  // [a-z0-9-]{1,64}; with Seq
	Seq       int64          `json:"seq,omitzero"`      // from 1 on each (product, channel)
	Previous  *digest.Digest `json:"previous,omitzero"` // statement of Seq-1; absent only where Seq is 1
	Published time.Time      `json:"published"`         // UTC, whole seconds, RFC 3339
	Artifacts []Artifact     `json:"artifacts"`         // one for each subject, same order
	Source    *Source        `json:"source,omitzero"`
	Recipe    *Evidence      `json:"recipe,omitzero"` // how to build the artifacts of the source; absent where the source has it
	Notes     string         `json:"notes,omitzero"`  // URL
}

// Artifact is one shipped file.
type Artifact struct {
	Name   string        `json:"name"`
	Size   int64         `json:"size"` // bytes
	SHA256 digest.Digest `json:"sha256"`
	SBOM   *Evidence     `json:"sbom,omitzero"`
}

// Evidence is a document in the content store.
type Evidence struct {
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"` // bytes
	SHA256    digest.Digest `json:"sha256"`
}

// Source is the snapshot of the source that the release was made from: a tar
// file in the content store, written reproducibly.
type Source struct {
	Kind   string        `json:"kind"`            // "git", "directory" or "archive"
	Access string        `json:"access"`          // access class: "public", "circle", "room"
	Size   int64         `json:"size"`            // bytes of the snapshot
	SHA256 digest.Digest `json:"sha256"`          // of the snapshot
	Commit string        `json:"commit,omitzero"` // git object ID, hex, of Kind git
	URI    string        `json:"uri,omitzero"`
}

// PredicateType returns [ReleaseType].
func (r *Release) PredicateType() string { return ReleaseType }

// Release decodes a release/v1 predicate, or says that it is of another type.
// What it returns is valid.
func (s *Statement) Release() (*Release, error) {
	if s.PredicateType != ReleaseType {
		return nil, fmt.Errorf("statement: predicateType %.200q, want %q", s.PredicateType, ReleaseType)
	}
	p, err := s.decode()
	if err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	return p.(*Release), nil
}

// Subjects returns the subjects that a statement of r must have.
func (r *Release) Subjects() []Subject {
	subject := make([]Subject, len(r.Artifacts))
	for i, a := range r.Artifacts {
		subject[i] = NewSubject(a.Name, a.SHA256)
	}
	return subject
}
