using System.Net;
using Berth.Node.Links;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>A server that has begun again, and nodes that have not dialled it yet.</summary>
public sealed class RestartedServerTests
{
    [Fact]
    public async Task A_call_waits_for_a_node_that_was_there_before_and_may_have_it()
    {
        using TemporaryFolder folder = new();
        TemporaryFolder node = new();
        await MakeAsync(folder, node);
        await using LinkRig rig = await LinkRig.StartAsync(folder: folder);

        Task<HttpResponseMessage> calling = CallAsync(rig, "hello", "node%3Dworker");
        using HttpResponseMessage never = await CallAsync(rig, "hello", "zone%3Dattic");
        bool waits = !calling.IsCompleted;
        await rig.StartAsync(node, NodeIdentity.Load(node.Path)!);
        using HttpResponseMessage answer = await calling;

        Assert.Equal(HttpStatusCode.ServiceUnavailable, never.StatusCode);
        Assert.True(waits, "It was not refused at once.");
        Assert.Equal("hello", await answer.Content.ReadAsStringAsync());
    }

    /// <summary>A data folder of a server, and of a node that has joined it.</summary>
    private static async Task MakeAsync(TemporaryFolder folder, TemporaryFolder node)
    {
        await using LinkRig rig = await LinkRig.StartAsync(folder: folder);
        JoinedNode worker = await rig.JoinAsync("worker");
        await rig.UntilAsync("worker", n => n.State == "ready");
        foreach (string file in (string[])["identity.pem", "authority.pem"])
        {
            File.Copy(worker.Folder[file], node[file]);
        }
    }

    private static async Task<HttpResponseMessage> CallAsync(LinkRig rig, string input, string constraint)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/call/demo/echo:1")
        {
            Content = new StringContent(input),
        };
        request.Headers.Add("Berth-Constraint", constraint);
        return await rig.Server.Client.SendAsync(request);
    }
}
