// Takes webhooks with the standard library of Go, and keeps the body of each in a file under its id.
//
// SECRET_FILE=collator-data/webhook.secret INBOX=inbox PORT=9000 go run receiver.go
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const tolerance = 5 * time.Minute
const maxBody = 64 << 20 // --max-body of Collator

// verified says whether the owner of the key has signed body just now (Standard Webhooks 1.0).
func verified(key []byte, header http.Header, body []byte) bool {
	seconds, err := strconv.ParseInt(header.Get("webhook-timestamp"), 10, 64)
	if err != nil || math.Abs(time.Since(time.Unix(seconds, 0)).Seconds()) > tolerance.Seconds() {
		return false
	}
	mac := hmac.New(sha256.New, key)
	io.WriteString(mac, header.Get("webhook-id")+"."+header.Get("webhook-timestamp")+".")
	mac.Write(body)
	wanted := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, entry := range strings.Fields(header.Get("webhook-signature")) { // several while a secret is replaced
		if hmac.Equal([]byte(entry), []byte(wanted)) {
			return true
		}
	}
	return false
}

// store has body on the disk when it returns. The id was verified: it is a name without slashes.
func store(inbox, id string, body []byte) error {
	path := filepath.Join(inbox, id+".json")
	if _, err := os.Stat(path); err != nil { // else it comes again
		if err := write(inbox, path, body); err != nil {
			return err
		}
	}
	directory, err := os.Open(inbox)
	if err != nil {
		return err
	}
	defer directory.Close()
	return directory.Sync() // the name, which is not in the file
}

func write(inbox, path string, body []byte) error {
	file, err := os.CreateTemp(inbox, "*.new")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // once it is renamed there is none
	defer file.Close()
	if _, err := file.Write(body); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// secret reads the first key of a file with one whsec_… per line: for each webhook, as it may have been replaced.
func secret(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Fields(string(text)) {
		if strings.HasPrefix(line, "whsec_") {
			return base64.StdEncoding.DecodeString(strings.TrimPrefix(line, "whsec_"))
		}
	}
	return nil, errors.New(path + " has no secret")
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	inbox := setting("INBOX", "inbox")
	if _, err := secret(os.Getenv("SECRET_FILE")); err != nil {
		log.Fatal(err)
	}
	if err := os.MkdirAll(inbox, 0o700); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(answer, request.Body, maxBody))
		if err != nil {
			http.Error(answer, err.Error(), http.StatusBadRequest)
		} else if key, err := secret(os.Getenv("SECRET_FILE")); err != nil {
			http.Error(answer, err.Error(), http.StatusServiceUnavailable)
		} else if !verified(key, request.Header, body) {
			http.Error(answer, "not signed by the owner of the secret", http.StatusUnauthorized)
		} else if err := store(inbox, request.Header.Get("webhook-id"), body); err != nil {
			http.Error(answer, err.Error(), http.StatusServiceUnavailable)
		} else {
			answer.WriteHeader(http.StatusNoContent)
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+setting("PORT", "9000"), nil))
}
