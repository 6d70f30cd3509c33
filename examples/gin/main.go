// A backend in Gin: an order is handled by a task, a moment later.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

func getenv(name, unset string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return unset
}

// Standard Webhooks: HMAC-SHA256 over id.timestamp.body, no older than five minutes.
func isOurs(header http.Header, body, key []byte) bool {
	id, stamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || id == "" || math.Abs(float64(time.Now().Unix()-seconds)) > 300 {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, stamp)
	mac.Write(body)
	made := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, sent := range strings.Fields(header.Get("webhook-signature")) {
		if hmac.Equal([]byte(sent), []byte(made)) {
			return true
		}
	}
	return false
}

func main() {
	port := getenv("PORT", "3000")
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("TIMEBALL_SIGNING_SECRET"), "whsec_"))
	if err != nil {
		panic(err)
	}
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()

	router.POST("/orders", func(c *gin.Context) {
		body, _ := io.ReadAll(c.Request.Body)
		call := map[string]string{"url": "http://localhost:" + port + "/hook", "body": string(body)}
		task, _ := json.Marshal(map[string]any{"request": call})
		request, _ := http.NewRequest("POST", os.Getenv("TIMEBALL_URL")+"/v2/tasks", bytes.NewReader(task))
		request.Header.Set("Authorization", "Bearer "+os.Getenv("TIMEBALL_KEY"))
		request.Header.Set("Content-Type", "application/json")
		once := make([]byte, 16)
		rand.Read(once)
		request.Header.Set("Idempotency-Key", hex.EncodeToString(once))
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			c.Status(http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		c.DataFromReader(answer.StatusCode, answer.ContentLength, "application/json", answer.Body, nil)
	})

	router.POST("/hook", func(c *gin.Context) {
		body, _ := io.ReadAll(c.Request.Body)
		if !isOurs(c.Request.Header, body, key) {
			c.Status(http.StatusUnauthorized)
			return
		}
		fmt.Println("handled", string(body))
		c.Status(http.StatusNoContent)
	})

	if err := router.Run("localhost:" + port); err != nil {
		panic(err)
	}
}
