# A backend in Sinatra: an order is handled by a task, a moment later.
require "base64"
require "json"
require "net/http"
require "openssl"
require "securerandom"
require "sinatra"

URL = ENV.fetch("TIMEBALL_URL")
KEY = ENV.fetch("TIMEBALL_KEY")
SECRET = Base64.decode64(ENV.fetch("TIMEBALL_SIGNING_SECRET").delete_prefix("whsec_"))
PORT = ENV.fetch("PORT", "3000")

set :bind, "localhost"
set :port, PORT
$stdout.sync = true

# Standard Webhooks: HMAC-SHA256 over id.timestamp.body, no older than five minutes.
def ours?(request, body)
  id = request.get_header("HTTP_WEBHOOK_ID")
  timestamp = request.get_header("HTTP_WEBHOOK_TIMESTAMP")
  return false if id.nil? || (Time.now.to_i - timestamp.to_i).abs > 300

  made = "v1," + Base64.strict_encode64(OpenSSL::HMAC.digest("SHA256", SECRET, "#{id}.#{timestamp}.#{body}"))
  request.get_header("HTTP_WEBHOOK_SIGNATURE").to_s.split.any? { |sent| Rack::Utils.secure_compare(sent, made) }
end

post "/orders" do
  task = { request: { url: "http://localhost:#{PORT}/hook", body: request.body.read } }
  answer = Net::HTTP.post(
    URI("#{URL}/v2/tasks"),
    task.to_json,
    "Authorization" => "Bearer #{KEY}",
    "Content-Type" => "application/json",
    "Idempotency-Key" => SecureRandom.uuid
  )
  status answer.code.to_i
  { task: JSON.parse(answer.body)["id"] }.to_json
end

post "/hook" do
  body = request.body.read
  halt 401 unless ours?(request, body)
  puts "handled #{body}"
  status 204
end
