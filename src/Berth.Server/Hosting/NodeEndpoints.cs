using System.Runtime.InteropServices;
using Berth.Api.Nodes;
using Berth.Server.Runs;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Hosting;

/// <summary>Tells of the machine, its sandboxes, and this program's version.</summary>
internal sealed class NodeEndpoints(INode node, IRunManager runs)
{
    public Task NodeAsync(HttpContext context)
    {
        NodeInfo info = node.Info;
        RunStatistics statistics = runs.Statistics();
        Dictionary<string, int> sandboxes = node.Status().Sandboxes.CountBy(s => s.State).ToDictionary();
        NodeView view = new(
            info.Name, info.Engine, info.CgroupVersion, info.Cores, info.Memory.Bytes, sandboxes,
            statistics.WaitingCalls, (int)Math.Min(statistics.Queued, int.MaxValue));
        return JsonBody.WriteAsync(context, view, NodeJson.Default.NodeView);
    }

    public Task SandboxesAsync(HttpContext context)
    {
        // An attempt's id is the run's id, a dash and a number.
        SandboxList list = new([.. node.Status().Sandboxes.Select(
            s => new SandboxLine(s.Id, s.State, s.Attempt?.Split('-')[0], s.Image.Text, s.Created))]);
        return JsonBody.WriteAsync(context, list, NodeJson.Default.SandboxList);
    }

    public Task VersionAsync(HttpContext context) => JsonBody.WriteAsync(
        context,
        new VersionView(
            ServerVersion.Text, RuntimeInformation.FrameworkDescription, RuntimeInformation.OSDescription,
            RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant()),
        NodeJson.Default.VersionView);
}
