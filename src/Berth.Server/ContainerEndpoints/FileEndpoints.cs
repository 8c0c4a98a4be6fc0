using System.Text;
using System.Text.Json;
using Berth.Api.Containers;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Server.Containers;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Berth.Server.ContainerEndpoints;

/// <summary>Files of a container, out as a tar archive and in by one. All looking and writing is done inside, by
/// <see cref="SandboxTool"/>: no link of the container leads out of it.</summary>
internal sealed class FileEndpoints(ContainerManager containers, TimeSpan bodyIdleTimeout, TimeProvider time)
{
    private const int MostComplaint = 4096;
    private const int MostStat = 64 * 1024;

    /// <summary>What there is at a path.</summary>
    public async Task StatAsync(HttpContext context)
    {
        (ContainerEntry entry, string path) = Read(context);
        await using ToolRun tool = await containers.RunToolAsync(
            entry, SandboxTool.Stat(path), context.RequestAborted);
        await tool.Input.DisposeAsync();
        using MemoryStream text = new();
        Task<string> complaint = ComplaintAsync(tool.Error);
        await CopyAsync(tool.Output, text, MostStat, context.RequestAborted);
        await CheckAsync(tool, complaint, context.RequestAborted);
        PathView view = JsonSerializer.Deserialize(text.ToArray(), ContainerJson.Default.PathView)
            ?? throw new BerthException(ErrorCode.NodeFault, "The sandbox's tool told nothing.");
        await JsonBody.WriteAsync(context, view, ContainerJson.Default.PathView);
    }

    public async Task ReadAsync(HttpContext context)
    {
        (ContainerEntry entry, string path) = Read(context);
        await using ToolRun tool = await containers.RunToolAsync(
            entry, SandboxTool.Read(path), context.RequestAborted);
        await tool.Input.DisposeAsync();
        Task<string> complaint = ComplaintAsync(tool.Error);
        byte[] first = new byte[64 * 1024];
        int count = await tool.Output.ReadAsync(first, context.RequestAborted);
        if (count == 0)
        {
            await CheckAsync(tool, complaint, context.RequestAborted);
        }

        context.Response.ContentType = "application/x-tar";
        context.Response.Headers.XContentTypeOptions = "nosniff";
        while (count > 0)
        {
            await context.Response.Body.WriteAsync(first.AsMemory(0, count), context.RequestAborted);
            count = await tool.Output.ReadAsync(first, context.RequestAborted);
        }

        if (await tool.ExitCode.WaitAsync(context.RequestAborted) != 0)
        {
            // Half an archive must not be taken for a whole one.
            context.Abort();
        }
    }

    public async Task WriteAsync(HttpContext context)
    {
        (ContainerEntry entry, string path) = Read(context);
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            // The container's own disk is the limit.
            limit.MaxRequestBodySize = null;
        }

        if (entry.Record.Spec.ReadOnlyRoot)
        {
            throw Core.Containers.ContainerSteps.Refuse(entry.Record, "its root can't be written (--read-only)");
        }

        PatientBody.Install(context, bodyIdleTimeout, time);
        await using ToolRun tool = await containers.RunToolAsync(
            entry, SandboxTool.Write(path), context.RequestAborted);
        Task<string> complaint = ComplaintAsync(tool.Error);
        Task feeding = FeedAsync(context, tool);
        await Task.WhenAny(feeding, tool.ExitCode);
        if (!tool.ExitCode.IsCompleted)
        {
            await feeding;
        }

        await CheckAsync(tool, complaint, context.RequestAborted);
        await feeding.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private static async Task FeedAsync(HttpContext context, ToolRun tool)
    {
        await using Stream input = tool.Input;
        Stream body = context.Request.BodyReader.AsStream();
        byte[] block = new byte[64 * 1024];
        int count;
        while ((count = await body.ReadAsync(block, context.RequestAborted)) > 0)
        {
            try
            {
                await input.WriteAsync(block.AsMemory(0, count), context.RequestAborted);
            }
            catch (IOException)
            {
                // It has ended, and its exit code says why.
                return;
            }
        }
    }

    private (ContainerEntry Entry, string Path) Read(HttpContext context)
    {
        string path = new QueryText(context.Request, "path").Find("path") ?? "";
        if (!path.StartsWith('/') || path.Length > 4095 || path.Contains('\0', StringComparison.Ordinal))
        {
            throw QueryText.Refuse("path", path, "expected an absolute path in the container");
        }

        return (containers.Find(ContainerEndpoints.ReferenceOf(context)), path);
    }

    private static async Task CheckAsync(ToolRun tool, Task<string> complaint, CancellationToken cancellationToken)
    {
        int? exitCode = await tool.ExitCode.WaitAsync(cancellationToken);
        if (exitCode == 0)
        {
            return;
        }

        string text = (await complaint).Trim();
        throw exitCode == SandboxTool.Refused
            ? new BerthException(
                text.Contains("no such", StringComparison.OrdinalIgnoreCase)
                    ? ErrorCode.NotFound
                    : ErrorCode.InvalidRequest, text)
            : new BerthException(
                ErrorCode.NodeFault,
                text.Length > 0 ? text : "The sandbox's tool was ended before it was done: is its memory limit low?");
    }

    private static async Task<string> ComplaintAsync(Stream error)
    {
        using MemoryStream text = new();
        await CopyAsync(error, text, MostComplaint, CancellationToken.None);
        return Encoding.UTF8.GetString(text.GetBuffer(), 0, (int)text.Length);
    }

    private static async Task CopyAsync(
        Stream source, MemoryStream target, int most, CancellationToken cancellationToken)
    {
        byte[] block = new byte[4096];
        int count;
        while ((count = await source.ReadAsync(block, cancellationToken)) > 0)
        {
            target.Write(block, 0, Math.Min(count, most - (int)target.Length));
        }
    }
}
