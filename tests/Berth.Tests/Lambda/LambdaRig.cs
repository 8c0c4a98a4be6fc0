using System.Text;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Core.Resources;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Lambda;

/// <summary>A server with the function <c>fn</c>, whose program in memory asks the real Runtime API for its
/// events.</summary>
internal sealed class LambdaRig : IAsyncDisposable
{
    private LambdaRig(ServerRig server)
    {
        Server = server;
        Client = new BerthClient(server.Address, server.AdminToken, TimeProvider.System);
    }

    public ServerRig Server { get; }

    public BerthClient Client { get; }

    public static async Task<LambdaRig> StartAsync(FunctionRequest? with = null, string payloadLimit = "6Mi")
    {
        LambdaRig rig = new(await ServerRig.StartAsync(
            o => o with { LambdaPayloadLimit = ByteSize.Parse(payloadLimit) }));
        try
        {
            await rig.DeployAsync(with ?? new FunctionRequest());
            return rig;
        }
        catch
        {
            await rig.DisposeAsync();
            throw;
        }
    }

    public Task<FunctionDeployment> DeployAsync(FunctionRequest request) => Client.Functions.DeployAsync(
        "fn",
        request with
        {
            Image = ServerRig.Image,
            Contract = "lambda",
            Command = request.Command ?? ["lambda", "app.handler"],
        },
        TestContext.Current.CancellationToken);

    public Task<HttpResponseMessage> CallAsync(
        string body, string path = "/v1/functions/fn", params (string Name, string Value)[] headers)
    {
        HttpRequestMessage request = new(HttpMethod.Post, path)
        {
            Content = new StringContent(body, Encoding.UTF8, "application/json"),
        };
        foreach ((string name, string value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return Server.SendAsync(request, TestContext.Current.CancellationToken);
    }

    public async Task<string> TextAsync(string body, string path = "/v1/functions/fn")
    {
        using HttpResponseMessage answer = await CallAsync(body, path);
        string text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, text);
        return text;
    }

    /// <summary>As AWS's clients call it.</summary>
    public Task<HttpResponseMessage> InvokeAsync(
        string body, string query = "", params (string Name, string Value)[] headers) =>
        CallAsync(body, "/2015-03-31/functions/fn/invocations" + query, headers);

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Server.DisposeAsync();
    }
}
