/** A plain page that names the addresses: for programs, and where no dashboard was built. */
export const PLAIN_POLICY = "default-src 'none'; frame-ancestors 'none'";

export const PLAIN_PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Shoal</title>
<h1>Shoal</h1>
<p>This node answers. Its addresses:</p>
<ul>
<li><code>POST /v1/chat/completions</code>, <code>POST /v1/completions</code>: inference in the form of the OpenAI API</li>
<li><a href="/v1/models">/v1/models</a>: models</li>
<li><a href="/state">/state</a>: nodes, instances, runners and tasks</li>
<li><code>GET /instance/await?model_id=MODEL</code>: waits until a model can serve</li>
<li><a href="/health">/health</a>, <a href="/ready">/ready</a>, <a href="/metrics">/metrics</a>: for those who watch it</li>
<li><a href="/openapi.json">/openapi.json</a>: every path, with its parameters and errors</li>
</ul>
</html>
`;
