/** `GET /`: a plain page for people who open the address in a browser. */
import type { FastifyInstance } from 'fastify';
import { errorResponses, textResponse } from '../http/openApi.js';

const PAGE = `<!doctype html>
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

export function registerWelcome(app: FastifyInstance): void {
  app.get(
    '/',
    {
      schema: {
        summary: 'A page that names the addresses',
        operationId: 'welcome',
        tags: ['cluster'],
        response: { 200: textResponse('The page', 'text/html'), ...errorResponses() },
      },
    },
    async (_request, reply) =>
      reply
        .type('text/html; charset=utf-8')
        .header('content-security-policy', "default-src 'none'")
        .serializer(String)
        .send(PAGE),
  );
}
