using Microsoft.AspNetCore.Http;

namespace Berth.Server.Backups;

/// <summary><c>GET /v1/backup</c>: the whole data folder as a tar archive, while the server goes on.</summary>
internal sealed class BackupEndpoint(BackupWriter writer)
{
    public async Task HandleAsync(HttpContext context)
    {
        using BackupWriter.Backup backup = await writer.BeginAsync(context.RequestAborted);
        context.Response.ContentType = "application/x-tar";
        await backup.WriteAsync(context.Response.Body, context.RequestAborted);
    }
}
