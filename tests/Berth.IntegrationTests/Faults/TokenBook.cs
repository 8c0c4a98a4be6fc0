using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using Berth.Api.Access;
using Berth.IntegrationTests.EndToEnd;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.IntegrationTests.Faults;

/// <summary>An administrator's own record of tokens: those that must open the door and those that must not.</summary>
internal sealed class TokenBook(ServerProcess server, string name)
{
    private readonly List<TokenCreated> valid = [];
    private readonly List<TokenCreated> revoked = [];
    private int count;

    /// <summary>A token comes, and another goes.</summary>
    public async Task StepAsync()
    {
        using HttpResponseMessage created = await server.Http.PostAsJsonAsync(
            "/v1/tokens", new TokenRequest($"{name}-{count++}", "pull", null), AccessJson.Default.TokenRequest);
        await ExpectAsync(HttpStatusCode.Created, created);
        valid.Add((await created.Content.ReadFromJsonAsync(AccessJson.Default.TokenCreated))!);
        if (valid.Count > 3)
        {
            TokenCreated doomed = valid[0];
            // Until its revocation is acknowledged, it may be valid or not.
            valid.RemoveAt(0);
            using HttpResponseMessage gone = await server.Http.DeleteAsync($"/v1/tokens/{doomed.Token.Id}");
            await ExpectAsync(HttpStatusCode.NoContent, gone);
            revoked.Add(doomed);
        }
    }

    public async Task IsTrueAsync()
    {
        foreach (TokenCreated token in valid.Concat(revoked))
        {
            bool opens = valid.Contains(token);
            using HttpRequestMessage request = new(HttpMethod.Get, "/v1/version");
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token.Secret);
            using HttpResponseMessage answer = await server.Http.SendAsync(request);
            Assert.Equal(opens ? HttpStatusCode.OK : HttpStatusCode.Unauthorized, answer.StatusCode);
        }
    }
}
