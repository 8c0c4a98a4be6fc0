using System.Diagnostics;

namespace Berth.Benchmarks.Rigs;

/// <summary>nginx as a reverse proxy in front of a port of this machine, connections kept open on both sides.</summary>
internal sealed class Nginx : IAsyncDisposable
{
    private readonly Process process;

    private Nginx(Process process, int port)
    {
        this.process = process;
        Port = port;
    }

    public int Port { get; }

    public static async Task<Nginx> StartAsync(BenchOptions options, int target)
    {
        int port = BerthRig.FreePort();
        string folder = Path.Combine(options.Work, "nginx");
        Directory.CreateDirectory(folder);
        string configuration = Path.Combine(folder, "nginx.conf");
        await File.WriteAllTextAsync(configuration, $$"""
            daemon off;
            worker_processes auto;
            pid {{folder}}/pid;
            error_log {{folder}}/error.log;
            events { worker_connections 1024; }
            http {
              access_log off;
              client_body_temp_path {{folder}}/body;
              proxy_temp_path {{folder}}/proxy;
              fastcgi_temp_path {{folder}}/fastcgi;
              uwsgi_temp_path {{folder}}/uwsgi;
              scgi_temp_path {{folder}}/scgi;
              keepalive_requests 100000000;
              upstream program { server 127.0.0.1:{{target}}; keepalive 128; keepalive_requests 100000000; }
              server {
                listen 127.0.0.1:{{port}};
                location / {
                  proxy_pass http://program;
                  proxy_http_version 1.1;
                  proxy_set_header Connection "";
                }
              }
            }
            """);
        Process process = Command.Start("nginx", ["-c", configuration]);
        return new Nginx(process, port);
    }

    public async ValueTask DisposeAsync()
    {
        using (Process.Start("kill", ["-TERM", $"{process.Id}"]))
        {
        }

        await process.WaitForExitAsync();
        process.Dispose();
    }
}
